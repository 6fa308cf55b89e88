"""Many annotations by the gateway; the catalog's part of it is tested on a real one."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from tests.services.asgi_client import AsgiClient
from tests.services.gateway_fakes import OTHER, FakeCatalog, FakeTriton, gateway_of
from visionops_assets.catalog.annotation_batches import Found, FoundMedia, Reference, Said
from visionops_assets.catalog.annotation_lists import CountingAnnotation
from visionops_assets.catalog.keys import bearer_header
from visionops_assets.contracts import MediaKind, Scope
from visionops_assets.errors import NotFoundError
from visionops_assets.services.gateway import many_annotations as module

PATH = f"/v1/models/{OTHER}/annotations"
KNOWN = {f"{number}.png": UUID(int=number) for number in range(1, 4)}
OWL = {"label": "owl"}


class Files:
    """Plays the catalog: knows three files, and keeps what is said of them."""

    def __init__(self) -> None:
        self.said: list[Mapping[UUID, Sequence[Said]]] = []
        self.sources: list[str | None] = []

    def find(self, _: object, references: Sequence[Reference], source: str | None) -> list[Found]:
        self.sources.append(source)
        return [
            FoundMedia(KNOWN[each.filename], MediaKind.IMAGE, "gate", None, each.filename)
            if each.filename in KNOWN
            else NotFoundError(f"There is no stored file with the name {each.filename!r}.")
            for each in references
        ]

    def annotate(
        self, _: object, model: str, said: Mapping[UUID, Sequence[Said]], author: str
    ) -> int:
        assert (model, author) == (OTHER, "client")
        self.said.append(said)
        return len(said) - 1


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> Files:
    played = Files()
    monkeypatch.setattr(module, "find_media", played.find)
    monkeypatch.setattr(module, "annotate_many", played.annotate)
    monkeypatch.setattr(module, "known_classes", lambda *_: {"owl", "tit"})
    return played


@pytest.fixture
def client(files: Files) -> AsgiClient:
    assert files.said == []
    catalog = FakeCatalog()
    return AsgiClient(
        gateway_of(FakeTriton(), catalog).app, bearer_header(catalog.issue(Scope.LABEL))
    )


def sent(*lines: object) -> bytes:
    return b"\n".join(
        line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines
    )


def test_good_lines_are_taken_and_bad_ones_are_told(client: AsgiClient, files: Files) -> None:
    body = sent(
        {"filename": "1.png", "annotation": OWL},
        b"{",
        {"filename": "9.png", "annotation": OWL},
        b"",
        {"annotation": OWL},
        {"filename": "2.png", "annotation": {"label": "cow"}},
        {"filename": "2.png", "annotation": OWL, "start_s": 1, "end_s": 2},
        {"filename": "2.png", "annotation": OWL, "start_s": 1},
        {"filename": "3.png", "annotation": {"labels": ["owl"]}},
        {"filename": "3.png", "annotation": OWL},
    )
    answer = client.post(PATH, content=body, params={"source": "gate"})
    assert answer.status_code == 200, answer.text
    told = answer.json()
    refusals = told.pop("refusals")
    assert told == {"lines": 10, "added": 1, "unchanged": 1, "refused": 7}
    assert [(each["line"], each["code"]) for each in refusals] == [
        (2, "invalid_request"),
        (3, "not_found"),
        (5, "invalid_request"),
        (6, "unknown_class"),
        (7, "invalid_request"),
        (8, "invalid_request"),
        (9, "invalid_request"),
    ]
    assert refusals[2]["detail"] == "media_id, sha256 or filename: name the file"
    assert files.said == [
        {UUID(int=1): [(None, None, OWL)], UUID(int=3): [(None, None, OWL)]},
    ]
    assert files.sources == ["gate"]


def test_lines_are_said_in_batches_and_those_of_one_file_together(
    client: AsgiClient, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BATCH_LINES", 2)
    monkeypatch.setattr(module, "MAX_BATCH_LINES", 3)
    names = ["1.png", "2.png", "2.png", "3.png", "3.png", "3.png", "3.png"]
    lines = [{"filename": name, "annotation": {"label": "cow"}} for name in names]
    answer = client.post(PATH, content=sent(*lines), params={"new_classes": True})
    assert answer.json()["lines"] == 7
    assert [{key.int: len(rows) for key, rows in each.items()} for each in files.said] == [
        {1: 1, 2: 2},
        {3: 3},
        {3: 1},
    ]


def test_a_line_without_an_end_and_an_unknown_model_are_refused(client: AsgiClient) -> None:
    endless = client.post(PATH, content=b" " * 300_000)
    assert (endless.status_code, endless.json()["code"]) == (422, "invalid_request")
    unknown = client.post("/v1/models/none/annotations", content=b"")
    assert (unknown.status_code, unknown.json()["code"]) == (422, "unknown_model")
    assert client.get("/v1/models/none/annotations").json()["code"] == "unknown_model"


def test_what_counts_is_listed_line_by_line(
    client: AsgiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def counting(
        _: object, model: Any, source: str | None, after: UUID | None
    ) -> tuple[list[CountingAnnotation], UUID | None]:
        assert (model.name, source) == (OTHER, "gate")
        number = 1 if after is None else 2
        key, moment = UUID(int=number), datetime(2026, 1, 31, tzinfo=UTC)
        given = CountingAnnotation(
            number, key, "ab", f"{number}.png", "gate", None, None, OWL, "ann", moment, (640, 480)
        )
        return [given], key if number == 1 else None

    monkeypatch.setattr(module, "counting_annotations", counting)
    answer = client.get(PATH, params={"source": "gate"})
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert [(line["filename"], line["annotation"]) for line in lines] == [
        ("1.png", OWL),
        ("2.png", OWL),
    ]
    assert lines[0]["size_px"] == [640, 480]
