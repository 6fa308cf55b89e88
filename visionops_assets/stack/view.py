"""The stack as a table for people."""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from visionops_assets.stack.control import Watcher
from visionops_assets.stack.paths import tail
from visionops_assets.stack.state import USABLE, ServerState, StackState, Status

_STYLES = {
    Status.READY: "green",
    Status.EXTERNAL: "cyan",
    Status.FAILED: "bold red",
    Status.ORPHANED: "bold red",
    Status.NOT_ANSWERING: "bold red",
    Status.RESTARTING: "yellow",
    Status.STARTING: "yellow",
    Status.STOPPING: "yellow",
}
_ENDED = frozenset({Status.STOPPED, Status.FAILED})
_FOLLOW_POLL_S = 0.3
# Pages that people open, in the order in which they need them.
_PAGES = {
    "gateway": "answers; `visionops link` signs you in",
    "dagster-webserver": "lineage and runs",
    "mlflow": "trainings and versions",
    "ingest": "uploads",
    "prometheus": "metrics and alerts",
}


@contextmanager
def live_table(console: Console) -> Iterator[Watcher]:
    """Show the stack while it changes; without a terminal, a line for each change."""
    if not console.is_terminal:
        yield _change_printer(console)
        return
    with Live(console=console, refresh_per_second=8) as live:
        yield lambda state: live.update(status_table(state))


def summary(state: StackState) -> str:
    """Say in one sentence whether the stack is well, and what to do if it is not."""
    unready = [server for server in state.servers if server.status not in USABLE]
    if state.error:
        return state.error
    if not state.servers:
        return "The stack is starting. Look again soon."
    if not unready:
        return f"All {len(state.servers)} servers are ready."
    if all(server.status in _ENDED for server in state.servers):
        return "The stack is stopped: start it by `visionops up`."
    if any(server.status is Status.ORPHANED for server in unready):
        return "The supervisor was killed: start all servers again by `visionops up`."
    named = ", ".join(f"{server.name} ({server.status})" for server in unready)
    are = "is" if len(unready) == 1 else "are"
    return (
        f"{len(unready)} of {len(state.servers)} servers {are} not ready: {named}. "
        "`visionops doctor` says what to do."
    )


def status_table(state: StackState) -> Table:
    """Lay out the servers as a table, one row each."""
    table = _table("server", "state")
    table.add_column("up", justify="right")
    table.add_column("restarts", justify="right")
    table.add_column("pid", justify="right")
    for server in state.servers:
        style = _STYLES.get(server.status, "dim")
        message = f" ({escape(server.message)})" if server.message else ""
        table.add_row(
            server.name,
            f"[{style}]{server.status}[/]{message}",
            uptime(server),
            str(server.restarts),
            str(server.pid or ""),
        )
    return table


def address_table(state: StackState) -> Table:
    """Lay out the addresses as a table: first the pages that people open, then the others."""
    table = _table("server", "address", "for")
    addresses = {server.name: server.address for server in state.servers if server.address}
    pages = [name for name in _PAGES if name in addresses]
    addresses |= {
        f"{server.name}, gRPC": server.grpc_address
        for server in state.servers
        if server.grpc_address
    }
    for name in (*pages, *(name for name in addresses if name not in _PAGES)):
        table.add_row(name, escape(addresses[name]), _PAGES.get(name, ""))
    return table


def _table(*columns: str) -> Table:
    return Table(*columns, box=None, header_style="bold", pad_edge=False)


def uptime(server: ServerState) -> str:
    """Say for how long the server has been ready, in its largest two units."""
    if server.status is not Status.READY or server.ready_at_s is None:
        return ""
    seconds = max(0, int(time.time() - server.ready_at_s))
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if days:
        return f"{days}d {hours % 24}h"
    if hours:
        return f"{hours}h {minutes % 60}m"
    return f"{minutes}m {seconds % 60}s" if minutes else f"{seconds}s"


def follow(log: Path, lines: int) -> Iterator[str]:
    """Yield the last lines of a log, then each new one, for ever; also across a rotation."""
    position = log.stat().st_size if log.exists() else 0
    yield from tail(log, lines)
    while True:
        time.sleep(_FOLLOW_POLL_S)
        size = log.stat().st_size if log.exists() else 0
        position = 0 if size < position else position
        if size > position:
            with log.open("rb") as file:
                file.seek(position)
                text = file.read()
            position += len(text)
            yield from text.decode(errors="replace").splitlines()


def _change_printer(console: Console) -> Watcher:
    shown: dict[str, Status] = {}

    def watch(state: StackState) -> None:
        for server in _changed(state.servers, shown):
            shown[server.name] = server.status
            console.print(f"{server.name}: {server.status} {server.message}".rstrip())

    return watch


def _changed(servers: Iterable[ServerState], shown: dict[str, Status]) -> list[ServerState]:
    return [s for s in servers if shown.get(s.name, Status.WAITING) is not s.status]
