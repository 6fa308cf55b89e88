"""PostgreSQL, SeaweedFS and Tansu, one of each, as `visionops up` starts them.

They lie at a place of their own, and listen on its address rather than on loopback.
"""

import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import psycopg
from kafka.errors import KafkaError
from psycopg import sql
from sqlalchemy.engine import make_url

from tests.hosts.containers import HOSTS_FILE, outer_environment
from tests.hosts.network import SERVERS, Network
from visionops_assets.settings import child_environment
from visionops_assets.stack import processes
from visionops_assets.stack.plan import Plan
from visionops_assets.stack.postgres import postgresql
from visionops_assets.stack.seaweedfs import seaweedfs
from visionops_assets.stack.server import Server
from visionops_assets.stack.tansu import tansu

START_TIMEOUT_S = 60.0
_LOOPBACK = "127.0.0.1"


@contextmanager
def running_servers(plan: Plan, network: Network, names: Path) -> Iterator[None]:
    """Run the servers for the length of the block, with an empty catalog."""
    with ExitStack() as stack:
        for server in (_postgresql(plan), _seaweedfs(plan), tansu(plan)):
            stack.enter_context(_running(server, plan, network, names))
        yield


def _postgresql(plan: Plan) -> Server:
    server = postgresql(plan)
    url = make_url(plan.settings.postgres_url.get_secret_value())
    data = plan.home / "postgresql"

    def prepare() -> None:
        server.prepare()
        with (data / "pg_hba.conf").open("a") as file:
            file.write("host all all samenet scram-sha-256\n")

    def connected() -> psycopg.Connection:
        password = data.with_suffix(".password").read_text()
        administrator = url.set(
            drivername="postgresql", username="postgres", password=password, database="postgres"
        )
        conninfo = administrator.render_as_string(hide_password=False)
        return psycopg.connect(conninfo, autocommit=True, connect_timeout=2)

    def answers(_started_at_s: float) -> bool:
        try:
            connected().close()
        except psycopg.OperationalError:
            return False
        return True

    def set_up() -> None:
        """Make a user and its databases: the catalog's, Dagster's and MLflow's."""
        user = sql.Identifier(str(url.username))
        create_user = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}")
        create_database = sql.SQL("CREATE DATABASE {} OWNER {}")
        with connected() as connection:
            connection.execute(create_user.format(user, sql.Literal(url.password)))
            for name in (str(url.database), "dagster", "mlflow"):
                connection.execute(create_database.format(sql.Identifier(name), user))

    return replace(
        server,
        command=_listening(server, f"listen_addresses={_LOOPBACK}", "listen_addresses=*"),
        prepare=prepare,
        probe=answers,
        setup=set_up,
    )


def _seaweedfs(plan: Plan) -> Server:
    server = seaweedfs(plan)
    # As the overlay `local` says.
    return replace(server, command=_listening(server, f"-ip.bind={_LOOPBACK}", "-ip.bind=0.0.0.0"))


def _listening(server: Server, said: str, instead: str) -> tuple[str, ...]:
    assert said in server.command, f"{server.name} is started without {said} now"
    return tuple(instead if word == said else word for word in server.command)


@contextmanager
def _running(server: Server, plan: Plan, network: Network, names: Path) -> Iterator[None]:
    server.prepare()
    log = plan.home / f"{server.name}.log"
    script = f'mount --bind "{names}" {HOSTS_FILE}; exec "$@"'
    process = processes.spawn(
        network.inside(SERVERS, "sh", "-ec", script, server.name, *server.command),
        outer_environment() | child_environment(plan.settings) | dict(server.env),
        plan.home,
        log,
    )
    try:
        _await(server, process, log)
        _set_up(server)
        yield
    finally:
        # Nobody needs what they keep any more.
        processes.reap(process)


def _set_up(server: Server) -> None:
    """Set a server up. The first topics may come before the store of the broker takes objects."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            return server.setup()
        except KafkaError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


def _await(server: Server, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while not server.probe(time.time()):
        assert not processes.has_exited(process), log.read_text()
        assert time.monotonic() < deadline, f"{server.name} does not answer: {log.read_text()}"
        time.sleep(0.05)
