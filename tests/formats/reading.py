"""What tests of all formats need: the files, and what is read of them in few words."""

from pathlib import Path

from visionops_assets.formats.records import BadRow, Entry, Reading
from visionops_assets.formats.registry import format_named
from visionops_assets.tasks.annotations import Box

FILES = Path(__file__).parent / "files"


def read(
    name: str, path: Path, reading: Reading | None = None
) -> tuple[dict[str, Entry], dict[str, str]]:
    """Return entries by their names, those of videos with their starts, and reasons by places."""
    entries: dict[str, Entry] = {}
    bad: dict[str, str] = {}
    for row in format_named(name).read(path, reading or Reading()):
        if isinstance(row, BadRow):
            bad[row.where] = row.reason
            continue
        part = "" if row.start_s is None else f"@{row.start_s:g}-{row.end_s:g}"
        assert f"{row.title}{part}" not in entries
        entries[f"{row.title}{part}"] = row
    return entries, bad


def box(label: str, x: float, y: float, width: float, height: float) -> Box:
    return Box(label=label, x=x, y=y, width=width, height=height)


def shown(entry: Entry) -> tuple[tuple[str, ...], tuple[Box, ...]]:
    return entry.labels, entry.boxes
