"""Hosts and pods as network namespaces: each pod's is on the bridge of its host.

The bridges lie in a namespace too, and joined by links that can be cut. So nothing here touches the
network of the machine, needs an address of it, or gets out of it; two runs do not see each other.
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from visionops_assets.stack.processes import start_ticks

HOSTS = ("host-a", "host-b")
SERVERS = "servers"
OUTSIDE = "outside"
"""Where clients and whoever releases are: reached by every host, and never cut off."""

JOBS = "jobs"
ADDED = "added"
"""A further pod, on the first host, which an autoscaler adds under load."""

_PREFIX = "visionops-hosts-"
_SWITCH = "switch"
_CORE = "core"
_END_WITHIN_S = 10.0


class NetworkError(Exception):
    """The machine does not let itself be divided like this."""


@dataclass(frozen=True)
class Place:
    """A network namespace of its own: its name, the host that it is on, and its address there."""

    name: str
    host: str
    address: str


def place_of(kind: str, host: str) -> str:
    """Return the name of the place of a kind's pod on a host."""
    return f"{kind}-{host.removeprefix('host-')}"


def layout(kinds: Sequence[str]) -> dict[str, Place]:
    """Return every place by its name: one of each kind on each host, and those of nobody's."""
    places = [
        Place(SERVERS, SERVERS, "10.77.0.2"),
        Place(OUTSIDE, OUTSIDE, "10.77.0.3"),
        Place(JOBS, OUTSIDE, "10.77.0.4"),
        Place(ADDED, HOSTS[0], "10.77.0.5"),
        *(
            Place(place_of(kind, host), host, f"10.77.0.{10 * (1 + number) + offset}")
            for number, host in enumerate(HOSTS)
            for offset, kind in enumerate(kinds)
        ),
    ]
    return {place.name: place for place in places}


def why_not() -> str | None:
    """Say why there can be no namespaces here; None if there can."""
    if os.geteuid() != 0:
        return "Only root may divide a machine into network namespaces."
    missing = [name for name in ("ip", "mount", "nsenter") if shutil.which(name) is None]
    if missing:
        return f"Not installed: {', '.join(missing)} (Debian's iproute2, mount and util-linux)."
    tried = subprocess.run(
        ["unshare", "--net", "--mount", "true"], capture_output=True, text=True, check=False
    )
    return f"No namespaces here: {tried.stderr.strip()}" if tried.returncode else None


class Network:
    """The network of one run. Whoever knows its name can use it; see `made` for its life."""

    def __init__(self, name: str) -> None:
        self.name = name

    def inside(self, place: str, *command: str) -> tuple[str, ...]:
        """Return the command that runs another one at a place."""
        return ("ip", "netns", "exec", self._namespace(place), *command)

    def cut(self, host: str) -> None:
        """Let a host vanish: nobody hears anything of it any more, not even that it is gone."""
        self._ip(_SWITCH, "link", "set", f"{host}-up", "down")

    def mend(self, host: str) -> None:
        """Let a host be heard again."""
        self._ip(_SWITCH, "link", "set", f"{host}-up", "up")

    def renew(self, place: Place) -> None:
        """Make a place anew: what the kernel still has to say of dead connections, nobody hears."""
        self._ip(_SWITCH, "link", "delete", place.name)
        _run("netns", "delete", self._namespace(place.name))
        self._add_place(place)

    def make(self, places: Sequence[Place]) -> None:
        """Make the namespaces and the links between them."""
        self._add_namespace(_SWITCH)
        self._add_bridge(_CORE)
        for host in dict.fromkeys(place.host for place in places):
            self._add_bridge(_bridge(host))
            ends = (f"{host}-up", f"{host}-core")
            self._ip(_SWITCH, "link", "add", ends[0], "type", "veth", "peer", "name", ends[1])
            self._ip(_SWITCH, "link", "set", ends[0], "master", _bridge(host), "up")
            self._ip(_SWITCH, "link", "set", ends[1], "master", _CORE, "up")
        for place in places:
            self._add_place(place)

    def remove(self) -> None:
        """End every process at any place, and take all of it away."""
        namespaces = [name for name in _namespaces() if name.startswith(f"{self.name}-")]
        deadline = time.monotonic() + _END_WITHIN_S
        while time.monotonic() < deadline and (left := _processes_in(namespaces)):
            for pid in left:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)
        for namespace in namespaces:
            _run("netns", "delete", namespace)

    def _add_namespace(self, place: str) -> None:
        _run("netns", "add", self._namespace(place))
        self._ip(place, "link", "set", "lo", "up")

    def _add_bridge(self, name: str) -> None:
        self._ip(_SWITCH, "link", "add", name, "type", "bridge")
        self._ip(_SWITCH, "link", "set", name, "up")

    def _add_place(self, place: Place) -> None:
        self._add_namespace(place.name)
        far_end = ("peer", "name", "eth0", "netns", self._namespace(place.name))
        self._ip(_SWITCH, "link", "add", place.name, "type", "veth", *far_end)
        self._ip(_SWITCH, "link", "set", place.name, "master", _bridge(place.host), "up")
        self._ip(place.name, "address", "add", f"{place.address}/24", "dev", "eth0")
        self._ip(place.name, "link", "set", "eth0", "up")

    def _ip(self, place: str, *words: str) -> None:
        _run("-netns", self._namespace(place), *words)

    def _namespace(self, place: str) -> str:
        return f"{self.name}-{place}"


def _bridge(host: str) -> str:
    return f"{host}-bridge"


@contextmanager
def made(places: Sequence[Place]) -> Iterator[Network]:
    """Make a network for the length of the block, and take away what killed runs left.

    Raises:
        NetworkError: it cannot be made.
    """
    _remove_leftovers()
    network = Network(f"{_PREFIX}{os.getpid()}")
    try:
        network.make(places)
        yield network
    finally:
        network.remove()


def _remove_leftovers() -> None:
    for name in {"-".join(name.split("-")[:3]) for name in _namespaces()}:
        pid = name.removeprefix(_PREFIX)
        if name.startswith(_PREFIX) and pid.isdigit() and start_ticks(int(pid)) is None:
            Network(name).remove()


def _namespaces() -> list[str]:
    return [line.split()[0] for line in _run("netns", "list").splitlines()]


def _processes_in(namespaces: Sequence[str]) -> list[int]:
    return [int(pid) for name in namespaces for pid in _run("netns", "pids", name).split()]


def _run(*words: str) -> str:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise NetworkError(f"ip {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout
