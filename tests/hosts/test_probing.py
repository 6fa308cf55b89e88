from tests.hosts.pods import PodTemplate, Probe
from tests.hosts.probing import Asked

STARTUP, READINESS, LIVENESS = (
    Probe(path=name, period_s=period_s, failure_threshold=2)
    for name, period_s in (("startup", 2), ("readiness", 5), ("liveness", 10))
)


class Server:
    """A process with a clock: `fails` names the probes that it does not pass."""

    def __init__(self, *probes: Probe | None) -> None:
        startup, readiness, liveness = probes
        template = PodTemplate("x", (), (), {}, startup, liveness, readiness, {}, 30, False)
        self.now_s = 0.0
        self.fails: set[str] = set()
        self.asked: list[str] = []
        self.probes = Asked(template, self._answer, lambda: self.now_s)

    def at(self, now_s: float, *fails: str) -> tuple[bool, bool]:
        """Let it become so late, and return whether it is ready, and whether it is to end."""
        self.now_s, self.fails = now_s, set(fails)
        self.probes.ask()
        return self.probes.is_ready, self.probes.is_to_end

    def _answer(self, probe: Probe) -> bool:
        self.asked.append(probe.path)
        return probe.path not in self.fails


def every_second(server: Server, seconds: range, *fails: str) -> list[tuple[bool, bool]]:
    return [server.at(now_s, *fails) for now_s in seconds]


def test_nothing_else_is_asked_before_it_has_started() -> None:
    server = Server(STARTUP, READINESS, LIVENESS)
    assert server.at(0, "startup") == (False, False)
    assert server.at(1) == (False, False)
    assert server.asked == ["startup"]
    assert server.at(2) == (True, False)
    assert server.asked == ["startup", "startup", "readiness", "liveness"]


def test_what_does_not_start_in_time_is_to_end() -> None:
    server = Server(STARTUP, READINESS, LIVENESS)
    assert every_second(server, range(3), "startup")[-1] == (False, True)


def test_one_failure_is_not_enough_and_one_success_is() -> None:
    server = Server(None, READINESS, None)
    assert server.at(0) == (True, False)
    assert server.at(5, "readiness") == (True, False)
    assert server.at(10, "readiness") == (False, False)
    assert server.at(15) == (True, False)


def test_what_does_not_live_is_to_end() -> None:
    server = Server(None, None, LIVENESS)
    assert server.at(0, "liveness") == (True, False)
    assert server.at(10, "liveness") == (True, True)


def test_without_probes_it_is_ready_when_it_runs() -> None:
    assert Server(None, None, None).at(0) == (True, False)
