"""`visionops media duplicates`: what it asks for, what it prints, and where."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.cli import catalogs
from visionops_assets.cli import app, media
from visionops_assets.models import default_model
from visionops_assets.stages import copies
from visionops_assets.stages.copies import Findings

FACT = {
    "media_id": "c",
    "filename": "copy.jpg",
    "source": "yard",
    "stored_at": datetime(2026, 3, 1, tzinfo=UTC),
    "copy_of": "o",
    "copy_of_filename": None,
    "copy_of_source": "gate",
    "group": "o",
    "distance": 3,
    "similarity": 0.9732,
}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The options that the search was asked with. Sources with a name have nothing."""
    asked: list[Any] = []
    catalogs.install(monkeypatch)
    monkeypatch.setattr(media, "PROGRESS_EVERY_S", 0.0)

    def find(*_: object, progress: Any, **options: Any) -> Findings:
        asked.append((_[-1], options))
        progress("Compared", 64, 1_200)
        nothing = options["source"] is not None
        return Findings([] if nothing else [FACT], 1_200, 0 if nothing else 7, 0 if nothing else 2)

    monkeypatch.setattr(copies, "find_copies", find)
    return asked


def test_json_has_a_line_per_copy_and_all_else_goes_to_standard_error(asked: list[Any]) -> None:
    done = CliRunner().invoke(app, ["media", "duplicates", "--json"])
    assert done.exit_code == 0
    [line] = done.stdout.splitlines()
    assert json.loads(line) == FACT | {"stored_at": "2026-03-01T00:00:00Z"}
    assert done.stderr.splitlines() == [
        "Compared 64 of 1,200 frames.",
        "visionops: 7 file(s) were not compared: they have no frames by the declared spec. "
        "Make them: visionops frames rebuild.",
        "visionops: 2 frame(s) in damaged shards were not compared.",
    ]
    assert asked == [(default_model().frames.spec_id, {"source": None, "since": None})]


def test_people_get_a_table(asked: list[Any]) -> None:
    done = CliRunner().invoke(app, ["media", "duplicates"])
    for words in ("copy.jpg", "yard", "gate", "0.9732"):
        assert words in done.stdout


def test_times_are_in_utc_and_nothing_is_a_sentence(asked: list[Any]) -> None:
    words = ["media", "duplicates", "--source", "yard", "--since", "2026-03-01T12:00:00"]
    done = CliRunner().invoke(app, words)
    assert (done.exit_code, done.stdout) == (0, "No near copies among 1200 file(s).\n")
    since = datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert [options for _, options in asked] == [{"source": "yard", "since": since}]


def test_what_is_no_time_is_refused(asked: list[Any]) -> None:
    done = CliRunner().invoke(app, ["media", "duplicates", "--since", "yesterday"])
    assert done.exit_code == 2
    assert "--since" in done.stderr
    assert asked == []
