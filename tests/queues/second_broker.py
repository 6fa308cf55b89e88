"""A broker of another code base in place of the stack's own: for tests run by `make second-broker`.

Producers are idempotent there, as with Apache Kafka; the stack's own broker cannot have them so.
"""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.waiting import eventually
from visionops_assets.settings import Settings
from visionops_assets.stack.ports import is_free
from visionops_assets.stack.probes import answers_kafka
from visionops_assets.stack.state import StackState

PROGRAM = "SECOND_BROKER"
"""The variable that names the program `noida-db`; without it there is no second broker."""
PORTS = range(32_000, 32_700)
PID_FILE = "second-broker.pid"


@contextmanager
def second_broker(home: Path) -> Iterator[dict[str, str]]:
    """Run it for the length of the block, if one is wanted, and yield the settings that name it."""
    program = os.environ.get(PROGRAM)
    if program is None:
        yield {}
        return
    home.mkdir(parents=True, exist_ok=True)
    port = next(port for port in PORTS if is_free(port))
    command = [
        *(program, "start", "--only", "kafka", "--kafka-port", str(port)),
        *("--data-dir", str(home / "second-broker")),
    ]
    with (home / "second-broker.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    (home / PID_FILE).write_text(str(process.pid))
    try:
        answers = answers_kafka(f"127.0.0.1:{port}")
        eventually("the second broker", lambda: answers(0.0), 20)
        yield {
            "KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{port}",
            "KAFKA_IDEMPOTENT_PRODUCER": "true",
        }
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=20)


def broker_pid(settings: Settings) -> int:
    """Return the process of the broker: the stack's own, or the second one."""
    second = settings.home / PID_FILE
    if second.exists():
        return int(second.read_text())
    state = StackState.model_validate_json((settings.home / "run" / "state.json").read_text())
    pid = next(server.pid for server in state.servers if server.name == "tansu")
    assert pid is not None
    return pid
