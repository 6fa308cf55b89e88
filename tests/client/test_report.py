from collections import Counter
from datetime import UTC, datetime
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from visionops_assets.client.importing.importer import ImportResult
from visionops_assets.client.importing.journal import Order
from visionops_assets.client.importing.listing import Failure, Item, Listing
from visionops_assets.client.importing.progress import Lines
from visionops_assets.client.importing.report import (
    MAX_FAILURES_SHOWN,
    Report,
    plan,
)
from visionops_assets.errors import RefusedError, ServerUnreachableError, VisionOpsError
from visionops_assets.foreign_text import printable

ORDER = Order("/data/photos", "http://127.0.0.1:8080", "import", label="cat")


def item(path: str) -> Item:
    return Item(path, 1_000, "1", datetime(2026, 3, 1, tzinfo=UTC))


def report(*failures: Failure) -> Report:
    listing = Listing([item(str(i)) for i in range(10)], Counter({"hidden": 2}))
    result = ImportResult(
        stored=3, duplicates=["dog/[1].jpg"], stored_bytes=3_000, failures=list(failures)
    )
    return Report(ORDER, listing, to_do=8, result=result, seconds=2.0)


def shown(summary: Report) -> str:
    out = StringIO()
    summary.show(Console(file=out, width=120))
    return out.getvalue()


def test_a_summary_says_what_came_of_every_file() -> None:
    summary = report(Failure("[red]a\n.png", "empty", "The file has no bytes."))
    text = shown(summary)
    for words in (
        "3 files imported (3.0 kB) in 2.0 s, 2.5 files/s.",
        "1 with bytes stored before (their label stays): dog/[1].jpg",
        "2 were done by an earlier run.",
        "Left out: 2 hidden.",
        "1 failed:",
        r"[red]a\n.png",
        "3 files are left",
    ):
        assert words in text


def test_a_long_list_of_failures_is_cut_but_whole_in_json() -> None:
    failures = [Failure(f"{i}.png\udcff", "empty", "none") for i in range(MAX_FAILURES_SHOWN + 5)]
    assert "5 more" in shown(report(*failures))
    fields = report(*failures).facts()
    assert len(fields["failed"]) == len(failures)
    assert fields["failed"][0] == {"path": "0.png\udcff", "code": "empty", "detail": "none"}
    assert (fields["files"], fields["done_before"], fields["stopped_by"]) == (10, 2, None)


def test_json_says_why_it_stopped() -> None:
    summary = report()
    summary.result.stopped_by = ServerUnreachableError("It is down.")
    assert summary.facts()["stopped_by"] == "It is down."


def test_nothing_to_do_is_said() -> None:
    assert "No file is left to import" in shown(Report(ORDER, Listing(), 0, ImportResult(), 0.0))


def test_a_plan_names_each_file() -> None:
    planned = {"path": "b.png", "bytes": 1_000, "label": "cat"}
    assert plan(ORDER, [item("b.png")]) == [planned]


@given(st.text())
def test_what_is_printed_is_one_line_of_text(text: str) -> None:
    line = printable(text)
    assert line.isprintable()
    line.encode()


def test_lines_come_now_and_then_and_at_the_end() -> None:
    lines: list[str] = []
    now_s = 0.0
    watch = Lines(lines.append, files=6, total_bytes=6_000, clock_s=lambda: now_s)
    for _ in range(6):
        now_s += 2
        watch.sent(1_000)
        watch.settled()
    assert lines == [
        "3 of 6 files, 3.0 kB of 6.0 kB, 0.5 files/s, 6 s left",
        "6 of 6 files, 6.0 kB of 6.0 kB, 0.5 files/s, 0 s left",
    ]


@pytest.mark.parametrize(
    ("error", "code", "detail"),
    [
        (RefusedError(422, "empty", "The file has no bytes."), "empty", "The file has no bytes."),
        (ServerUnreachableError("It is down."), "server_unreachable", "It is down."),
        (PermissionError(13, "Permission denied", "/x"), "unreadable", "Permission denied"),
        (OSError("The archive is cut off."), "unreadable", "The archive is cut off."),
    ],
)
def test_a_failure_says_why_whatever_the_error_is(
    error: VisionOpsError | OSError, code: str, detail: str
) -> None:
    assert Failure.of("a.png", error) == Failure("a.png", code, detail)
