"""The probes of one process of a pod, asked when they are due, as Kubernetes counts them."""

import subprocess
import time
from collections.abc import Callable

import httpx

from tests.hosts.pods import PodTemplate, Probe

Ask = Callable[[Probe], bool]


class Counted:
    """One probe and what it came to: `passes` changes once it fails, or passes, often enough."""

    def __init__(self, probe: Probe | None, ask: Ask, clock_s: Callable[[], float]) -> None:
        self._probe = probe
        self._ask = ask
        self._clock_s = clock_s
        self._due_at_s = clock_s()
        self._failures = 0
        # What is not asked for holds.
        self.has_passed = probe is None
        self.has_failed = False

    def ask_if_due(self) -> None:
        """Ask, unless it is too early."""
        if self._probe is None or self._clock_s() < self._due_at_s:
            return
        self._due_at_s = self._clock_s() + self._probe.period_s
        if self._ask(self._probe):
            self._failures, self.has_passed, self.has_failed = 0, True, False
            return
        self._failures += 1
        if self._failures >= self._probe.failure_threshold:
            self.has_passed, self.has_failed = False, True


class Asked:
    """All probes of one process. Readiness and liveness are asked for once it has started."""

    def __init__(
        self, template: PodTemplate, ask: Ask, clock_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._template = template
        self._ask = ask
        self._clock_s = clock_s
        self._startup = Counted(template.startup, ask, clock_s)
        self._others: tuple[Counted, Counted] | None = None

    def ask(self) -> None:
        """Ask whatever is due."""
        if self._others is None:
            self._startup.ask_if_due()
            if not self._startup.has_passed:
                return
            self._others = tuple(
                Counted(probe, self._ask, self._clock_s)
                for probe in (self._template.readiness, self._template.liveness)
            )  # type: ignore[assignment]
        for counted in self._others or ():
            counted.ask_if_due()

    @property
    def is_ready(self) -> bool:
        """Whether it is to get requests."""
        return self._others is not None and self._others[0].has_passed

    @property
    def is_to_end(self) -> bool:
        """Whether it is to be started again."""
        return self._startup.has_failed or (self._others is not None and self._others[1].has_failed)


def asking(address: str, inside: Callable[[tuple[str, ...]], tuple[str, ...]]) -> Ask:
    """Return how to ask a pod at an address; `inside` makes a command run in the pod."""

    def ask(probe: Probe) -> bool:
        if probe.command:
            return _exits_well(inside(probe.command), probe.timeout_s)
        url = f"http://{address}:{probe.port}{probe.path}"
        try:
            answer = httpx.get(url, timeout=probe.timeout_s, trust_env=False)
        except httpx.HTTPError:
            return False
        return answer.status_code < 400

    return ask


def _exits_well(command: tuple[str, ...], timeout_s: float) -> bool:
    try:
        done = subprocess.run(command, timeout=timeout_s, check=False, capture_output=True)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0
