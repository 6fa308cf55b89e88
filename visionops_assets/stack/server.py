"""Describes a server for the supervisor: how to start it, see that it is ready, and end it."""

import signal
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from visionops_assets.errors import StackError

# Called with the Unix time at which the process was started; true once the server can be used.
Probe = Callable[[float], bool]


def _nothing() -> None:
    """Do nothing: the default step."""


@dataclass(frozen=True, kw_only=True)
class Server:
    """One server of the stack. Without a command it is external: probed, never started.

    `prepare` runs before every start, `setup` once the server answers; a server counts as ready
    when its setup is done. `needs` are names of servers that must be ready before it is started;
    it is stopped before they are. Its process gets every setting that is no secret, and `env`:
    with the secrets it needs.
    """

    name: str
    address: str
    probe: Probe
    command: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    prepare: Callable[[], None] = _nothing
    setup: Callable[[], None] = _nothing
    start_timeout_s: float = 180.0
    stop_signal: signal.Signals = signal.SIGTERM
    stop_timeout_s: float = 10.0

    @property
    def is_external(self) -> bool:
        """Say whether the address was given, so that the server is not started here."""
        return not self.command


def select(servers: Iterable[Server], only: frozenset[str]) -> tuple[Server, ...]:
    """Keep the servers named in `only` and whatever they need, in start order; all if empty.

    Raises:
        StackError: `only` names a server that does not exist.

    """
    by_name = {server.name: server for server in servers}
    unknown = only - by_name.keys()
    if unknown:
        names = ", ".join(sorted(unknown))
        raise StackError(f"There is no server named {names}. There are: {', '.join(by_name)}.")
    wanted: set[str] = set()
    pending = set(only or by_name)
    while pending:
        name = pending.pop()
        wanted.add(name)
        pending |= set(by_name[name].needs) - wanted
    return tuple(server for server in by_name.values() if server.name in wanted)
