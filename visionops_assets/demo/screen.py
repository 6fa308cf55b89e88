"""Shows the demo in the terminal: a line per stage, and tables at the end."""

from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import SecretStr
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn
from rich.table import Table


class Screen:
    """A live line for the stage under way; a lasting line for each that ended."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TextColumn("{task.fields[detail]}", style="dim"),
            console=console,
            transient=True,
        )
        self._task = self._progress.add_task("", total=None, detail="", visible=False)

    def __enter__(self) -> "Screen":
        self._progress.start()
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._progress.stop()

    def begin(self, stage: str) -> None:
        """Show that a stage is under way."""
        self._progress.reset(self._task, total=None, description=stage, detail="", visible=True)

    def detail(self, text: str) -> None:
        """Say what the stage is doing."""
        self._progress.update(self._task, detail=text)

    def track(
        self, items: Iterable[dict[str, Any]], total: int, stage: str
    ) -> Iterator[dict[str, Any]]:
        """Show how many of `total` items are done."""
        self._progress.update(self._task, total=total, description=stage)
        for item in items:
            self._progress.advance(self._task)
            yield item

    def end(self, stage: str, seconds: float, summary: str | None) -> None:
        """Print the last line of a stage; without a summary it failed."""
        mark = "[red]✗[/]" if summary is None else "[green]✓[/]"
        self._progress.update(self._task, visible=False)
        self._console.print(
            f"{mark} {stage:<11}[dim]{seconds:7.1f} s[/]  {summary or ''}", highlight=False
        )

    def note(self, text: str) -> None:
        """Print a line of text."""
        self._console.print(f"  {text}", style="cyan")


def summary_table(title: str, figures: dict[str, Any]) -> Table:
    """Lay a demo's figures out as a table."""
    table = Table(title=title, title_justify="left", show_header=False)
    table.add_column(style="bold")
    table.add_column(justify="right")
    for name, value in figures.items():
        if isinstance(value, dict):
            continue
        table.add_row(name, f"{value:.4f}" if "accuracy" in name else str(value))
    return table


def timeline_table(seconds_by_event: dict[str, float]) -> Table:
    """Lay out the events with their times."""
    table = Table(title="Timeline", title_justify="left", show_header=False)
    table.add_column(justify="right")
    table.add_column()
    for what, at_s in seconds_by_event.items():
        table.add_row(f"{at_s:.0f} s", what)
    return table


def show_link(console: Console, link: SecretStr) -> None:
    """Print the link to the gateway's page on a line of its own: in a table it might be broken."""
    console.print(
        "Send the model a picture, in the browser (this link signs in once, within 15 minutes; "
        "`visionops link` makes another):",
        style="bold",
    )
    console.print(link.get_secret_value(), soft_wrap=True, highlight=False)


def places_table(places: dict[str, str]) -> Table:
    """Lay out the pages to open."""
    table = Table(title="Pages to open", title_justify="left", show_header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, url in places.items():
        table.add_row(name, url)
    return table
