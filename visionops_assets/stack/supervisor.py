"""The supervisor: one process per state folder, started by `visionops up`, ended by `down`.

Run as `python -m visionops_assets.stack.supervisor [SERVER ...]`.
"""

import fcntl
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from visionops_assets.errors import StackError, VisionOpsError
from visionops_assets.settings import (
    STACK_ENV_FILE,
    child_environment,
    load_external_settings,
    load_settings,
    settings_home,
)
from visionops_assets.stack import processes
from visionops_assets.stack.environment import plan_environment
from visionops_assets.stack.paths import Paths
from visionops_assets.stack.plan import Plan
from visionops_assets.stack.runner import POLL_S, Runner
from visionops_assets.stack.server import Server, select
from visionops_assets.stack.servers import build_servers
from visionops_assets.stack.shared_memory import remove_shared_memory
from visionops_assets.stack.state import SIGN_EVERY_S, Board, StackState, write_state

logger = logging.getLogger(__name__)


@contextmanager
def exclusive(paths: Paths) -> Iterator[None]:
    """Become the only supervisor of a state folder, and write that into its record.

    The kernel releases the lock, however the process ends.

    Raises:
        StackError: another supervisor holds the lock.

    """
    with paths.lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StackError(f"A supervisor already runs for {paths.home}.") from None
        processes.write_record(paths.supervisor, processes.identify(os.getpid()))
        yield


def supervise(
    servers: Sequence[Server], env: Mapping[str, str], paths: Paths, stopping: threading.Event
) -> None:
    """Run the servers until `stopping` is set, or until the stack does not come up."""
    with_logs = [(server, paths.log(server.name)) for server in servers]
    board = Board(paths.state, os.getpid(), with_logs)
    runners = [
        Runner(
            server,
            rank=rank,
            dependents=tuple(other.name for other in servers if server.name in other.needs),
            env=env,
            paths=paths,
            board=board,
            stopping=stopping,
        )
        for rank, server in enumerate(servers)
    ]
    for runner in runners:
        runner.start()
    written_at = time.monotonic()
    while not stopping.wait(POLL_S):
        if board.stack().failed:
            stopping.set()
        if time.monotonic() - written_at > SIGN_EVERY_S:
            board.write()
            for name in ("supervisor", *(server.name for server in servers)):
                paths.cut_log(name)
            written_at = time.monotonic()
    for runner in runners:
        runner.join()


def _run(home: Path, only: frozenset[str], stopping: threading.Event) -> None:
    """Clean up after a supervisor that was killed, choose addresses, and supervise."""
    paths = Paths(home)
    for name in processes.end_orphans(paths.run):
        logger.warning("%s was left over from a supervisor that was killed: ended", name)
    external = load_external_settings().model_fields_set
    ports = plan_environment(home / STACK_ENV_FILE, frozenset(external))
    settings = load_settings()
    plan = Plan(settings, ports, frozenset(external))
    servers = select(build_servers(plan), only)
    supervise(servers, child_environment(settings), paths, stopping)
    remove_shared_memory(home)


def main() -> int:
    """Supervise the stack of VISIONOPS_HOME until SIGTERM. Returns the exit code."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    # Until the broker is up, the client logs every attempt.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    home = settings_home()
    paths = Paths(home)
    paths.create()
    try:
        with exclusive(paths):
            return _guarded(home, paths, stopping)
    except StackError as error:
        logger.warning("%s", error)
        return 0


def _guarded(home: Path, paths: Paths, stopping: threading.Event) -> int:
    """Tell the user why nothing could be started, by the state file."""
    try:
        _run(home, frozenset(sys.argv[1:]), stopping)
    except (VisionOpsError, OSError) as error:
        logger.exception("the stack could not be started")
        write_state(paths.state, StackState(supervisor_pid=os.getpid(), error=str(error)))
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
