"""Describes a server for the supervisor: how to start it, see that it is ready, and end it."""

import signal
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from visionops_assets.errors import StackError

# It gets the Unix time from which on signs of life count: at first, the start of the process. It
# returns True if the server can be used.
Probe = Callable[[float], bool]


@dataclass(frozen=True)
class Trouble:
    """A fault of a server: in words, if it is more than that the server does not answer."""

    what: str = ""
    may_pass_by_restart: bool = True


def _nothing() -> None:
    """Do nothing: the default step."""


@dataclass(frozen=True, kw_only=True)
class Server:
    """One server of the stack. Without a command it is external: probed, never started.

    `prepare` runs before every start, `setup` once the server answers; a server counts as ready
    when its setup is done. `needs` are names of servers that must be ready before it is started; it
    is stopped before they are. Its process gets every setting that is not a secret, and `env`,
    which has the secrets that it needs.

    A ready server is asked repeatedly: by `lives`, if that is another question than `probe`,
    whether it gave a sign of life within `silence_s`; and by `works`, which returns the trouble of
    a server that answers. The server is restarted when either has failed for `patience_s`.
    """

    name: str
    address: str
    grpc_address: str = ""
    """Of a server that people reach by HTTP as well."""
    probe: Probe
    command: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    lives: Probe | None = None
    works: Callable[[], Trouble | None] | None = None
    silence_s: float = 180.0
    patience_s: float = 60.0
    prepare: Callable[[], None] = _nothing
    setup: Callable[[], None] = _nothing
    start_timeout_s: float = 600.0
    """Patience with a process that lives. A process that ends is started again at once."""
    stop_signal: signal.Signals = signal.SIGTERM
    stop_timeout_s: float = 10.0

    @property
    def is_external(self) -> bool:
        """Say whether the address was given from outside: then the server is not started here."""
        return not self.command


def select(servers: Iterable[Server], only: frozenset[str]) -> tuple[Server, ...]:
    """Keep the servers named in `only` and those they need, in start order; all if empty.

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
