"""A PostgreSQL with TLS whose certificate is checked, met by everything that speaks to PostgreSQL.

It is Debian's, since the local server is built without TLS. It takes nobody without TLS.
"""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import create_engine
from sqlalchemy.engine import URL
from sqlalchemy.exc import OperationalError

from tests.deploy.manifests import installed
from tests.integration.preparing import prepare, text_of
from tests.queues.certificates import Authority
from tests.waiting import eventually
from visionops_assets.backup.databases import Database, find_program
from visionops_assets.errors import BackupError, ServerUnreachableError
from visionops_assets.stack import postgres
from visionops_assets.stack.ports import is_free

PORTS = range(32_700, 32_768)
PASSWORD = "a=pass:word"
NAMES = ("catalog", "mlflow", "dagster")
BY_TLS = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def programs() -> Path:
    """Return the folder of a server's programs. Debian keeps them off PATH."""
    of_debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    return (of_debian or [Path(installed("postgres", "apt-get install postgresql"))])[-1].parent


@pytest.fixture(scope="module")
def server(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[URL]:
    """Run one that is known as `localhost`, and return the administrator's URL."""
    home = tmp_path_factory.mktemp("database")
    data, password_file = home / "data", home / "password"
    data.mkdir()
    password_file.write_text(PASSWORD)
    certificate, key = authority.sign("database", "localhost")
    if os.geteuid() == 0:
        for path in (data, password_file, certificate, key):
            os.chown(path, postgres._NOBODY, postgres._NOBODY)
    run = (*postgres._unprivileged(), "env", "--chdir", str(data))
    make = ("initdb", "-U", "postgres", "-A", "scram-sha-256", f"--pwfile={password_file}")
    made = subprocess.run(
        (*run, programs() / make[0], *make[1:], "-D", data, "--no-sync", "--locale=C.UTF-8"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    (data / "pg_hba.conf").write_text("hostssl all all 127.0.0.1/32 scram-sha-256\n")
    port = next(port for port in PORTS if is_free(port))
    options = {
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "fsync": "off",
        "ssl": "on",
        "ssl_cert_file": certificate,
        "ssl_key_file": key,
    }
    words = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
    url = URL.create("postgresql", "postgres", PASSWORD, "localhost", port, "postgres")
    with (home / "log").open("w") as log:
        process = subprocess.Popen(
            (*run, programs() / "postgres", "-D", data, "-p", str(port), *words),
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        eventually("PostgreSQL", lambda: answers(url), 30)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=30)


def answers(url: URL) -> bool:
    try:
        psycopg.connect(text_of(url), sslmode="require").close()
    except psycopg.OperationalError:
        return False
    return True


@pytest.fixture
def checked(server: URL, authority: Authority, monkeypatch: pytest.MonkeyPatch) -> URL:
    """Let libpq's variables say what the overlays of a cluster say; return the server's URL."""
    monkeypatch.setenv("PGSSLMODE", "verify-full")
    monkeypatch.setenv("PGSSLROOTCERT", str(authority.file))
    return server


def database(url: URL) -> Database:
    return Database("catalog", url, dict(os.environ))


def test_databases_are_prepared_backed_up_and_put_back(checked: URL, tmp_path: Path) -> None:
    """As the Jobs of a cluster do, with its instance of Dagster."""
    urls = {name: checked.set(database=name) for name in NAMES}
    with psycopg.connect(text_of(checked), autocommit=True) as connection:
        assert connection.execute(BY_TLS).fetchone() == (True,)
        for name in NAMES:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    prepare(urls, tmp_path)
    dump = tmp_path / "catalog.dump"
    database(urls["catalog"]).dump(dump)
    listed = subprocess.run(
        [find_program("pg_restore"), "--list", str(dump)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert " TABLE public media " in listed.stdout
    # What is dumped by a newer version cannot be put back here; that psql gets in can be seen.
    database(urls["mlflow"])._run("psql", "--no-psqlrc", f"--command={BY_TLS}", connect=True)


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_a_server_of_another_authority_or_name_is_not_spoken_to(
    checked: URL, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, driver: str
) -> None:
    elsewhere = checked.set(host="127.0.0.1")
    refuses(elsewhere, driver, "does not match host name")
    monkeypatch.setenv("PGSSLROOTCERT", str(Authority(tmp_path, "other").file))
    refuses(checked, driver, "certificate verify failed")


def refuses(url: URL, driver: str, why: str) -> None:
    """Check that a driver does not connect, nor one of PostgreSQL's programs."""
    engine = create_engine(text_of(url, driver))
    with pytest.raises(OperationalError, match=why):
        engine.connect()
    with pytest.raises(ServerUnreachableError, match=why), database(url).connect():
        pass
    with pytest.raises(BackupError, match=why):
        database(url).dump(Path(os.devnull))
