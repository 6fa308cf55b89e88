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
from visionops_assets.stack.state import ServerState, StackState, Status

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
_FOLLOW_POLL_S = 0.3


@contextmanager
def live_table(console: Console) -> Iterator[Watcher]:
    """Show the stack while it changes; without a terminal, a line for each change."""
    if not console.is_terminal:
        yield _change_printer(console)
        return
    with Live(console=console, refresh_per_second=8) as live:
        yield lambda state: live.update(status_table(state))


def status_table(state: StackState) -> Table:
    """Lay out the servers as a table, one row each."""
    table = Table("server", "state", "pid", box=None, header_style="bold", pad_edge=False)
    table.add_column("restarts", justify="right")
    table.add_column("address", overflow="fold")
    table.add_column("up", justify="right")
    table.add_column("log")
    for server in state.servers:
        style = _STYLES.get(server.status, "dim")
        message = f" ({escape(server.message)})" if server.message else ""
        table.add_row(
            server.name,
            f"[{style}]{server.status}[/]{message}",
            str(server.pid or ""),
            str(server.restarts),
            server.address,
            uptime(server),
            "" if server.status is Status.EXTERNAL else _relative(server.log),
        )
    return table


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


def _relative(path: str) -> str:
    """Shorten a path below the working folder."""
    here = Path.cwd()
    return str(Path(path).relative_to(here)) if Path(path).is_relative_to(here) else path


def _change_printer(console: Console) -> Watcher:
    shown: dict[str, Status] = {}

    def watch(state: StackState) -> None:
        for server in _changed(state.servers, shown):
            shown[server.name] = server.status
            console.print(f"{server.name}: {server.status} {server.message}".rstrip())

    return watch


def _changed(servers: Iterable[ServerState], shown: dict[str, Status]) -> list[ServerState]:
    return [s for s in servers if shown.get(s.name, Status.WAITING) is not s.status]
