"""Text that others chose reaches a terminal escaped, whichever command shows it."""

import json
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from typer.testing import CliRunner

from tests.cli import catalogs
from visionops_assets.catalog import keys as catalog_keys
from visionops_assets.catalog import quarantine as catalog_quarantine
from visionops_assets.catalog import releases as catalog_releases
from visionops_assets.catalog import rollouts as catalog_rollouts
from visionops_assets.catalog.schema import ApiKey, Media, ReleaseEvent
from visionops_assets.cli import app, releases
from visionops_assets.resources import object_store

# Clears the screen, sets the window's title, colours by our own markup, and turns the text round.
HOSTILE = "a\x1b[2J\x1b]0;pwned\x07[red]b[/]\x9b\u202ec\r\n"
AT = datetime(2026, 3, 1, tzinfo=UTC)
MEDIA = Media(
    media_id=UUID(int=7),
    source=HOSTILE,
    filename=HOSTILE,
    reason_code="corrupt",
    reason_detail=HOSTILE,
    object_key="media/x",
    received_at=AT,
)
KEY = ApiKey(prefix="vo_abc", name=HOSTILE, scopes=["predict"], created_at=AT)
EVENT = ReleaseEvent(
    happened_at=AT, action="refused", model_name="m", model_version=2, actor=HOSTILE, reason=HOSTILE
)


@pytest.fixture(autouse=True)
def hostile_catalog(monkeypatch: pytest.MonkeyPatch) -> None:
    catalogs.install(monkeypatch)
    monkeypatch.setattr(catalog_quarantine, "quarantined", lambda *_: [MEDIA])
    monkeypatch.setattr(catalog_quarantine, "get_quarantined", lambda *_: MEDIA)
    head = SimpleNamespace(get_range=lambda *_: b"\x1b[2J")
    monkeypatch.setattr(object_store, "ObjectStore", lambda: head)
    monkeypatch.setattr(catalog_keys, "list_all", lambda *_: [KEY])
    monkeypatch.setattr(catalog_keys, "revoke", lambda *_: [KEY])
    monkeypatch.setattr(catalog_releases, "champion", lambda *_: None)
    monkeypatch.setattr(catalog_releases, "newest_events", lambda *_: [EVENT])
    monkeypatch.setattr(catalog_rollouts, "active_rollout", lambda *_: None)
    monkeypatch.setattr(releases, "in_one_sentence", lambda *_: "Nothing serves.")


@pytest.mark.parametrize(
    "words",
    [
        ["quarantine", "ls"],
        ["quarantine", "show", str(UUID(int=7))],
        ["releases", "ls"],
        ["keys", "ls", "--all"],
        ["keys", "revoke", "vo_abc"],
    ],
    ids=" ".join,
)
def test_nothing_of_it_acts_on_the_terminal(words: list[str]) -> None:
    shown = CliRunner().invoke(app, words)
    assert shown.exit_code == 0, shown.output
    assert not [c for c in shown.output if not c.isprintable() and c != "\n"]
    assert "\\x1b[2J" in "".join(shown.output.split())
    assert "[red]" in shown.output, "it is no markup"
    told: Any = json.loads(CliRunner().invoke(app, [*words, "--json"]).stdout)
    assert HOSTILE in told.values(), "programs get the text itself"
