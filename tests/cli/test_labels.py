"""`visionops labels`: of stored files, by a client that a test plays."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from typer.testing import CliRunner

from tests.cli import catalogs
from visionops_assets.catalog import contradictions, datasets
from visionops_assets.catalog.contradictions import Contradiction
from visionops_assets.cli import app
from visionops_assets.cli import labels as module
from visionops_assets.errors import RefusedError
from visionops_assets.models.contradictions import Word
from visionops_client.annotations import GivenAnnotation

KEY = UUID(int=7)
GIVEN = GivenAnnotation(
    annotation_id=4,
    model=None,
    start_s=1.5,
    end_s=2.0,
    annotation={"labels": ["car", "van"]},
    author="ann",
    origin="annotation",
    created_at=datetime(2026, 1, 31, tzinfo=UTC),
)


class Client:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[UUID, Mapping[str, Any] | None, dict[str, Any]]] = []
        self.given: tuple[GivenAnnotation, ...] = (GIVEN,)

    def annotate_media(self, media_id: UUID, said: Any, **options: Any) -> GivenAnnotation | None:
        self.told.append((media_id, said, options))
        if said == {"label": "bus"}:
            raise RefusedError(422, "unknown_class", "No class bus. Add new_classes=true.")
        return None if said is None else GIVEN

    def annotations_of_media(self, _: UUID) -> tuple[GivenAnnotation, ...]:
        return self.given


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Client:
    played = Client()

    @contextmanager
    def opened(key: str | None) -> Iterator[Client]:
        assert key in {None, "mine"}
        yield played

    monkeypatch.setattr(module, "_client", opened)
    return played


def run(*words: str) -> str:
    result = CliRunner().invoke(app, ["labels", *words])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_file_is_labelled_in_the_form_of_the_models_task(client: Client) -> None:
    said = run("add", str(KEY), "van", "--from", "1.5", "--to", "2", "--new-class", "--key", "mine")
    assert said == f"{KEY} has the label van for classifier.\n"
    options = {"model": None, "start_s": 1.5, "end_s": 2.0, "new_classes": True}
    assert client.told == [(KEY, {"label": "van"}, options)]
    printed = json.loads(run("add", str(KEY), "van", "--model", "classifier", "--json"))
    assert printed["annotation_id"] == 4


def test_a_refusal_names_the_option_of_the_command(client: Client) -> None:
    result = CliRunner().invoke(app, ["labels", "add", str(KEY), "bus"])
    assert str(result.exception) == "unknown_class: No class bus. Add --new-class."
    assert client.told[0][1] == {"label": "bus"}


def test_the_labels_of_a_file_are_shown_and_taken_back(client: Client) -> None:
    shown = run("show", str(KEY))
    assert all(word in shown for word in ("car, van", "1.5 to 2 s", "all", "ann"))
    assert json.loads(run("show", str(KEY), "--json"))["start_s"] == 1.5
    client.given = ()
    assert run("show", str(KEY)) == f"{KEY} has no label.\n"
    assert run("rm", str(KEY), "--to", "2") == f"Took the labels of {KEY} back.\n"
    assert client.told == [(KEY, None, {"model": None, "start_s": None, "end_s": 2.0})]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["add", "seven", "car"], "MEDIA_ID"),
        (["add", str(KEY)], "LABEL"),
        (["rm", str(KEY), "--from", "x"], "--from"),
    ],
)
def test_bad_input_ends_with_a_message(words: list[str], message: str) -> None:
    result = CliRunner().invoke(app, ["labels", *words])
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr


def test_contradicting_labels_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    catalogs.install(monkeypatch)
    at = datetime(2026, 1, 31, tzinfo=UTC)
    counts, other = (
        Word(number, UUID(int=number), label, author, "upload", 1, at)
        for number, label, author in ((5, "van", "ann"), (4, "car", "ben"))
    )
    found = [Contradiction("aa", 3, counts, (other,))]
    monkeypatch.setattr(datasets, "now", lambda _: at)
    monkeypatch.setattr(contradictions, "contradictions", lambda *_: found)
    row = json.loads(run("conflicts", "--json"))
    assert row == {
        "sha256": "aa",
        "media": [str(UUID(int=4)), str(UUID(int=5))],
        "frames": 3,
        "label": "van",
        "by": "ann",
        "contradicted_by": ["car (ben)"],
    }
    shown = " ".join(run("conflicts").split())
    assert "van" in shown
    found.clear()
    assert run("conflicts", "--model", "classifier") == "No labels for classifier contradict.\n"
