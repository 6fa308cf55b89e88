"""What is killed, and when: each kind of pod, on one host or the other, and whole hosts."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from tests.hosts.kubelet import Kubelet, Pod
from tests.hosts.network import HOSTS
from tests.hosts.records import HOST, Kill

POLL_S = 0.05


class PatienceError(Exception):
    """Something did not come back, so that the run says nothing."""


@dataclass(frozen=True)
class Step:
    """Kill what is of a kind on a host, or the host."""

    kind: str
    host: str


def steps_of_round(number: int, kinds: Sequence[str]) -> list[Step]:
    """Return the steps of a round: neighbours on different hosts, which change in the next."""
    return [
        Step(kind, HOSTS[(place + number) % len(HOSTS)])
        for place, kind in enumerate([*kinds, HOST])
    ]


class Killer:
    """Kills pods of which another is up, and notes when they were ready again."""

    def __init__(self, kubelet: Kubelet, patience_s: float, tell: Callable[[str], None]) -> None:
        self._kubelet = kubelet
        self._patience_s = patience_s
        self._tell = tell
        self._kills: list[Kill] = []

    def kill(self, step: Step) -> None:
        """Kill one pod once all of its kind are up."""
        self.await_up(self._kubelet.of_kind(step.kind))
        victim = next(p for p in self._kubelet.of_kind(step.kind) if p.host == step.host)
        began_at_s = time.monotonic()
        victim.kill()
        self._note(step.kind, [victim], began_at_s)

    def vanish(self, host: str, await_moment: Callable[[], object]) -> None:
        """Let a host vanish once all that is to go on is up, and `await_moment` has returned."""
        self.await_up([pod for pod in self._kubelet.pods.values() if pod.host != host])
        await_moment()
        began_at_s = time.monotonic()
        lost = self._kubelet.vanish(host)
        self._note(HOST, lost, began_at_s)

    def await_up(self, pods: Sequence[Pod]) -> None:
        """Wait until pods are up.

        Raises:
            PatienceError: they were not in time.
        """
        deadline = time.monotonic() + self._patience_s
        while missing := [pod.name for pod in pods if not pod.is_up]:
            if time.monotonic() > deadline:
                raise PatienceError(f"Not up within {self._patience_s:.0f} s: {missing}")
            time.sleep(POLL_S)

    def kills(self) -> list[Kill]:
        """Return what was killed, with when it was up again."""
        return [replace(kill, recovered_at_s=self._recovered_at_s(kill)) for kill in self._kills]

    def _note(self, kind: str, pods: Sequence[Pod], began_at_s: float) -> None:
        names = frozenset(pod.name for pod in pods)
        self._kills.append(Kill(kind, names, began_at_s, time.monotonic()))
        self._tell(f"Killed {kind}: {', '.join(sorted(names))}")

    def _recovered_at_s(self, kill: Kill) -> float | None:
        times_s = [self._kubelet.pods[name].listed_after(kill.ended_at_s) for name in kill.pods]
        known_s = [time_s for time_s in times_s if time_s is not None]
        return max(known_s) if len(known_s) == len(times_s) else None
