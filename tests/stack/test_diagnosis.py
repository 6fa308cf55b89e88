import pytest

from visionops_assets.findings import Finding, Grade
from visionops_assets.stack.diagnosis import (
    GB,
    PortUse,
    SeenServer,
    Supervision,
    clock,
    disk,
    home,
    memory,
    packages,
    ports,
    programs,
    server,
    supervisor,
)
from visionops_assets.stack.state import Status


def seen(status: Status = Status.READY, **facts: object) -> SeenServer:
    fields = {"name": "gateway", "address": "http://g:1", "pid": 12, "answers": True} | facts
    return SeenServer.model_validate(fields | {"status": status})


def use(port: int, **facts: object) -> PortUse:
    return PortUse.model_validate({"port": port, "name": "ingest", "is_free": False} | facts)


@pytest.mark.parametrize(
    ("finding", "grade", "words"),
    [
        (memory(8 * GB, is_running=False), "ok", "8.0 GB"),
        (memory(2 * GB, is_running=False), "warn", "end other programs"),
        (memory(2 * GB, is_running=True), "ok", "2.0 GB"),
        (memory(GB // 4, is_running=True), "bad", "larger machine"),
        (disk(50 * GB, 100 * GB, "/h"), "ok", "50.0 GB are free below /h."),
        (disk(4 * GB, 100 * GB, "/h"), "warn", "VISIONOPS_HOME"),
        (disk(9 * GB, 1_000 * GB, "/h"), "bad", "VISIONOPS_HOME"),
        (home("/h", 0o40700, is_writable=True), "ok", "yours alone"),
        (home("/h", None, is_writable=True), "ok", "not exist yet"),
        (home("/h", 0o40750, is_writable=True), "warn", "chmod 700 /h"),
        (home("/h", 0o40700, is_writable=False), "bad", "cannot write to /h"),
        (clock(1_000.0, 900.0), "ok", "did not go back"),
        (clock(1_000.0, 4_600.0), "bad", "3600 s ahead"),
        (packages([], {"dagster": "1.13"}), "ok", "dagster 1.13"),
        (packages(["torch is not installed"], {}), "bad", "make install"),
        (programs([]), "ok", "All"),
        (programs(["prometheus"]), "ok", "Without prometheus there are no alerts"),
        (supervisor(Supervision(was_started=False)), "ok", "`visionops up`"),
        (supervisor(Supervision(was_started=True)), "ok", "stopped"),
        (supervisor(Supervision(was_started=True, pid=7)), "ok", "pid 7"),
        (supervisor(Supervision(was_started=True, pid=7, is_halted=True)), "bad", "kill -CONT 7"),
        (supervisor(Supervision(was_started=True, servers_left=("a", "b"))), "bad", "run a, b."),
        (server(seen()), "ok", "answers at http://g:1"),
        (server(seen(address="")), "ok", "works"),
        (server(seen(Status.EXTERNAL)), "ok", "answers"),
        (server(seen(Status.EXTERNAL, answers=False)), "bad", "is the address right"),
        (server(seen(answers=False)), "bad", "visionops logs gateway -n 100"),
        (server(seen(answers=False, is_halted=True)), "bad", "kill -CONT 12"),
        (server(seen(Status.STARTING, answers=False)), "warn", "Wait"),
        (server(seen(Status.RESTARTING, answers=False, message="code 1")), "bad", "code 1"),
        (server(seen(Status.STOPPED)), "bad", "visionops up"),
    ],
)
def test_what_is_seen_is_graded_with_advice(finding: Finding, grade: str, words: str) -> None:
    assert finding.grade == grade
    assert words in f"{finding.finding} {finding.advice}"
    assert finding.grade is Grade.OK or finding.advice


def test_a_taken_port_is_harmless_until_the_stack_runs() -> None:
    uses = [use(80, program="nginx (pid 3)"), use(81, is_ours=True), use(82, is_free=True)]
    taken, rest = ports(uses, is_running=False)
    assert (taken.grade, rest.grade) == (Grade.WARN, Grade.OK)
    assert taken.finding == "Port 80 (ingest) belongs to nginx (pid 3)."
    assert rest.finding == "Of 3 ports 1 are free, 1 are the stack's own."
    assert next(ports(uses, is_running=True)).grade is Grade.BAD
