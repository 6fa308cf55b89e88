"""`visionops frames rebuild`: what is asked of Dagster, and what is said."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.cli import catalogs
from visionops_assets.catalog import processing
from visionops_assets.cli import app
from visionops_assets.client.dagster import DagsterClient
from visionops_assets.models import default_model


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the catalog and Dagster are asked. Two batches lack frames, in all but the spec `x`."""
    asked: list[Any] = []
    catalogs.install(monkeypatch)

    def without(_session: object, spec_id: str, since: datetime | None) -> dict[str, int]:
        asked.append((spec_id, since))
        return {"media-0-0-5": 5, "media-0-5-7": 2} if since is None else {}

    def backfill(_: object, asset: str, definition: str, keys: list[str], *_rest: object) -> str:
        asked.append((asset, definition, keys))
        return "http://dagster/runs/b/f1"

    monkeypatch.setattr(processing, "batches_without", without)
    monkeypatch.setattr(DagsterClient, "backfill", backfill)
    return asked


def test_batches_that_lack_frames_are_filled_in_the_background(asked: list[Any]) -> None:
    done = CliRunner().invoke(app, ["frames", "rebuild"])
    spec_id = default_model().frames.spec_id
    keys = ["media-0-0-5", "media-0-5-7"]
    assert asked == [(spec_id, None), ("processed_frames", "media_batches", keys)]
    said = f"Making frames of 7 file(s) in 2 batch(es) by {spec_id}: http://dagster/runs/b/f1\n"
    assert (done.exit_code, done.stdout) == (0, said)


def test_nothing_is_started_where_nothing_lacks(asked: list[Any]) -> None:
    words = ["frames", "rebuild", "--since", "2026-03-01", "--json"]
    done = CliRunner().invoke(app, words)
    assert [since for _, since in asked] == [datetime(2026, 3, 1, tzinfo=UTC)]
    assert json.loads(done.stdout) | {"spec_id": ""} == {
        "spec_id": "",
        "media": 0,
        "batches": 0,
        "url": None,
    }
