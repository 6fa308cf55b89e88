"""What Kubernetes does for pods: starts them, asks their probes, lists those that are ready.

One thread a pod. A pod that ends is started again after a pause; of a host that vanished nobody
knows anything, so its pods stay listed for a while, as a node's do until its lease is over.
"""

import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from tests.hosts.containers import HEARTBEATS, Container, asked_inside
from tests.hosts.network import Network, Place
from tests.hosts.pods import PodTemplate
from tests.hosts.probing import Asked, asking
from visionops_assets.stack import processes

TICK_S = 0.1


@dataclass(frozen=True)
class Pace:
    """How long Kubernetes takes: to start a pod that ended, and to give a host up."""

    restart_after_s: float
    host_grace_s: float


class Pod:
    """One pod, kept running. `on_listing` is called when it becomes an endpoint, or none."""

    def __init__(
        self,
        template: PodTemplate,
        place: Place,
        container: Container,
        pace: Pace,
        on_listing: Callable[[], None],
        sidecars: Sequence[Container] = (),
    ) -> None:
        self.template = template
        self.container = container
        self.kind, self.name = template.kind, place.name
        self.place, self.host, self.address = place, place.host, place.address
        self.is_listed = False
        """Whether it is an endpoint of its Service, as far as is known."""
        self.starts = 0
        self.ended_by_probe = 0
        self._pace = pace
        self._on_listing = on_listing
        self._process: subprocess.Popen[bytes] | None = None
        self._sidecars: dict[Container, subprocess.Popen[bytes] | None] = dict.fromkeys(sidecars)
        self._listed_at_s: list[float] = []
        self._host_is_away = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)

    @property
    def is_away(self) -> bool:
        """Whether its host vanished."""
        return self._host_is_away.is_set()

    @property
    def is_up(self) -> bool:
        """Whether it is listed, and rightly so."""
        process = self._process
        return self.is_listed and process is not None and process.poll() is None

    def listed_after(self, moment_s: float) -> float | None:
        """Return when it first became ready after a moment (monotonic clock); None if not yet."""
        return next((at_s for at_s in self._listed_at_s if at_s > moment_s), None)

    def start(self) -> None:
        """Begin to keep it running."""
        self._thread.start()

    def stop(self) -> None:
        """Kill it, and do not start it again."""
        self._stopping.set()

    def join(self) -> None:
        """Wait until it has ended."""
        self._thread.join()

    def kill(self) -> None:
        """Kill its process and all that it started, as the end of a container does."""
        for process in (self._process, *self._sidecars.values()):
            if process is not None:
                processes.reap(process)

    def freeze(self) -> None:
        """Stop its process where it is, without ending it."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let its process go on."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    def lose(self) -> None:
        """Know nothing more of it, and start nothing, until it is found."""
        self._host_is_away.set()

    def find(self) -> None:
        """Its host is back: go on."""
        self._host_is_away.clear()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._start_sidecars()
            process = self._process = self.container.start()
            self.starts += 1
            try:
                self._attend(process)
                if process.poll() is None and not self._stopping.is_set():
                    processes.end(process, signal.SIGTERM, self.template.grace_s)
            finally:
                processes.reap(process)
            self._await_host()
            self._list(is_ready=False)
            self._stopping.wait(self._pace.restart_after_s)
        for sidecar in filter(None, self._sidecars.values()):
            processes.reap(sidecar)

    def _start_sidecars(self) -> None:
        """Start each sidecar that does not run, and wait until it has started."""
        for container, running in self._sidecars.items():
            if running is not None and running.poll() is None:
                continue
            process = self._sidecars[container] = container.start()
            asked = Asked(container.template, asking(self.address, partial(asked_inside, process)))
            while not asked.is_ready and process.poll() is None:
                if self._stopping.wait(TICK_S):
                    return
                asked.ask()

    def _attend(self, process: subprocess.Popen[bytes]) -> None:
        """Ask the probes until the process ends, or is to."""
        started_at_s = time.time()
        asked = Asked(self.template, asking(self.address, partial(asked_inside, process)))
        while not self._stopping.wait(TICK_S) and process.poll() is None:
            asked.ask()
            if process.poll() is not None or self.is_away:
                continue
            self._list(asked.is_ready and self._has_begun(started_at_s))
            if asked.is_to_end:
                self.ended_by_probe += 1
                return

    def _has_begun(self, started_at_s: float) -> bool:
        """Whether a pod without a port does its work: its sign of life may be its predecessor's."""
        if self.template.readiness is not None:
            return True
        heartbeat = self.container.source_of("/tmp") / HEARTBEATS / f"{self.kind}.alive"
        return heartbeat.exists() and heartbeat.stat().st_mtime >= started_at_s

    def _await_host(self) -> None:
        """While the host is away, stay listed for as long as a host is believed in."""
        given_up_at_s = time.monotonic() + self._pace.host_grace_s
        while self.is_away and not self._stopping.wait(TICK_S):
            if time.monotonic() > given_up_at_s:
                self._list(is_ready=False)

    def _list(self, is_ready: bool) -> None:
        if is_ready != self.is_listed:
            self.is_listed = is_ready
            if is_ready:
                self._listed_at_s.append(time.monotonic())
            self._on_listing()


class Kubelet:
    """All pods, by their names, and the network that they are on.

    `pods` run from the beginning; `to_be_added` only from when each is added.
    """

    def __init__(self, pods: dict[str, Pod], to_be_added: list[Pod], network: Network) -> None:
        self.pods = pods
        self._to_be_added = to_be_added
        self._network = network

    @contextmanager
    def running(self) -> Iterator[None]:
        """Keep all pods running for the length of the block; at its end they are killed."""
        for pod in self.pods.values():
            pod.start()
        try:
            yield
        finally:
            for pod in self.pods.values():
                pod.stop()
            for pod in self.pods.values():
                pod.join()

    def add(self) -> Pod:
        """Start a further pod, as an autoscaler does, and return it."""
        pod = self._to_be_added.pop()
        self.pods[pod.name] = pod
        pod.start()
        return pod

    def of_kind(self, kind: str) -> list[Pod]:
        """Return the pods of one kind."""
        return [pod for pod in self.pods.values() if pod.kind == kind]

    def expected(self, kind: str) -> list[Pod]:
        """Return the pods of one kind, with those that are to be added."""
        return [*self.of_kind(kind), *(pod for pod in self._to_be_added if pod.kind == kind)]

    def on_host(self, host: str) -> list[Pod]:
        """Return the pods of one host."""
        return [pod for pod in self.pods.values() if pod.host == host]

    def present(self) -> list[Pod]:
        """Return the pods of hosts that did not vanish."""
        return [pod for pod in self.pods.values() if not pod.is_away]

    def endpoints(self, kind: str) -> list[Pod]:
        """Return the pods that a Service of this kind sends requests to."""
        return [pod for pod in self.of_kind(kind) if pod.is_listed]

    def vanish(self, host: str) -> Sequence[Pod]:
        """Cut a host off and let all on it die, unheard; return its pods."""
        lost = self.on_host(host)
        for pod in lost:
            pod.lose()
        self._network.cut(host)
        for pod in lost:
            pod.kill()
        return lost

    def bring_back(self, host: str) -> None:
        """Let a host come up again, as after a loss of power, and its pods with it."""
        for pod in self.on_host(host):
            self._network.renew(pod.place)
        self._network.mend(host)
        for pod in self.on_host(host):
            pod.find()
