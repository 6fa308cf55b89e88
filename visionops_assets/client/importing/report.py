"""Reports the result of an import: a summary for people, or JSON for programs."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.filesize import decimal
from rich.markup import escape
from rich.table import Table

from visionops_assets.client.importing.importer import ImportResult, label_of
from visionops_assets.client.importing.journal import Order
from visionops_assets.client.importing.listing import Failure, Item, Listing
from visionops_assets.foreign_text import printable

MAX_FAILURES_SHOWN = 50
MAX_DUPLICATES_SHOWN = 5


@dataclass(frozen=True)
class Report:
    """One run of an import: the files found, those to do, and the results."""

    order: Order
    listing: Listing
    to_do: int
    result: ImportResult
    seconds: float

    @property
    def failures(self) -> list[Failure]:
        """Return the problems by path: of unreadable files, and of files that were not imported."""
        failures = self.listing.failures + self.result.failures
        return sorted(failures, key=lambda failure: failure.path)

    @property
    def not_tried(self) -> int:
        """Return the number of files that are left because the import was stopped."""
        return self.to_do - self.result.tried

    @property
    def done_before(self) -> int:
        """Return the number of files that an earlier run imported."""
        return len(self.listing.items) - self.to_do

    def facts(self) -> dict[str, Any]:
        """Return the report for programs."""
        result, stopped_by = self.result, self.result.stopped_by
        return {
            "import_id": self.order.import_id,
            **asdict(self.order),
            "files": len(self.listing.items),
            "done_before": self.done_before,
            "left_out": dict(self.listing.left_out),
            "stored": result.stored,
            "stored_bytes": result.stored_bytes,
            "duplicates": len(result.duplicates),
            "duplicate_files": sorted(result.duplicates),
            "failed": [asdict(failure) for failure in self.failures],
            "not_tried": self.not_tried,
            "stopped_by": str(stopped_by) if stopped_by else None,
            "seconds": round(self.seconds, 3),
        }

    def show(self, console: Console) -> None:
        """Print the summary."""
        for line in self._lines():
            console.print(line, highlight=False)
        if self.failures:
            console.print(_failures_table(self.failures))
        if self.not_tried:
            console.print(f"{self.not_tried:,} files are left: the same command goes on with them.")

    def _lines(self) -> Iterator[str]:
        result = self.result
        yield (
            f"{result.stored:,} files imported ({decimal(result.stored_bytes)}) in "
            f"{self.seconds:.1f} s, {result.tried / self.seconds:,.1f} files/s."
            if self.to_do
            else "No file is left to import."
        )
        if result.duplicates:
            names = ", ".join(map(printable, sorted(result.duplicates)[:MAX_DUPLICATES_SHOWN]))
            more = ", ..." if len(result.duplicates) > MAX_DUPLICATES_SHOWN else ""
            yield (
                f"{len(result.duplicates):,} with bytes stored before (their label stays): "
                f"{escape(names)}{more}"
            )
        if self.done_before:
            yield f"{self.done_before:,} were done by an earlier run."
        if left_out := self.listing.left_out:
            counts = ", ".join(f"{count:,} {reason}" for reason, count in left_out.items())
            yield f"Left out: {counts}."
        if self.failures:
            yield f"{len(self.failures):,} failed:"
        elif result.stored:
            yield "Files that cannot be decoded will be in `visionops quarantine ls`."


def plan(order: Order, to_do: list[Item]) -> list[dict[str, Any]]:
    """Return the files that an import would upload: path, bytes and label of each."""
    return [
        {"path": item.path, "bytes": item.size_bytes, "label": label_of(item.path, order)}
        for item in to_do
    ]


def _failures_table(failures: list[Failure]) -> Table:
    table = Table("file", "code", "reason", box=None, header_style="bold", pad_edge=False)
    for failure in failures[:MAX_FAILURES_SHOWN]:
        cells = (failure.path, failure.code, failure.detail)
        table.add_row(*(escape(printable(cell)) for cell in cells))
    if len(failures) > MAX_FAILURES_SHOWN:
        table.add_row(f"... and {len(failures) - MAX_FAILURES_SHOWN:,} more: see --json", "", "")
    return table
