"""Annotations of predictions by the gateway; those of files are tested on a real catalog."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.declared import declaration
from tests.services.asgi_client import AsgiClient
from tests.services.gateway_fakes import CHAMPION, OTHER, FakeCatalog, FakeTriton, gateway_of
from visionops_assets.catalog.annotations import Place
from visionops_assets.catalog.keys import bearer_header
from visionops_assets.catalog.schema import AnnotationRow
from visionops_assets.contracts import Scope
from visionops_assets.contracts.draws import is_drawn
from visionops_assets.services.gateway import annotations as module

KEY = uuid4()
PATH = f"/v1/predictions/{KEY}/annotation"


class Said:
    """Plays the catalog's annotations of one prediction."""

    def __init__(self) -> None:
        self.made_by: str | None = OTHER
        self.places: list[Place] = []
        self.rows: list[AnnotationRow] = []
        self.classes = {"owl", "tit"}

    def annotate(
        self, _: object, place: Place, payload: dict[str, Any], author: str, origin: str
    ) -> AnnotationRow:
        self.places.append(place)
        row = AnnotationRow(
            annotation_id=len(self.places),
            prediction_id=place.prediction_id,
            model_name=place.model_name,
            payload=payload,
            author=author,
            origin=origin,
            created_at=datetime(2026, 1, 31, tzinfo=UTC),
        )
        self.rows.append(row)
        return row

    def take_back(self, _: object, place: Place, author: str) -> int:
        assert author == "client"
        self.places.append(place)
        self.rows.clear()
        return 1

    def annotations_of(self, _: object, *, prediction_id: UUID) -> list[AnnotationRow]:
        return [row for row in self.rows if row.prediction_id == prediction_id]


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> Said:
    played = Said()
    for name in ("annotate", "take_back", "annotations_of"):
        monkeypatch.setattr(module, name, getattr(played, name))
    monkeypatch.setattr(module, "model_of", lambda *_: played.made_by)
    monkeypatch.setattr(module, "known_classes", lambda *_: played.classes)
    return played


@pytest.fixture
def client(said: Said) -> AsgiClient:
    assert said.places == []
    catalog = FakeCatalog()
    key = catalog.issue(Scope.LABEL)
    return AsgiClient(gateway_of(FakeTriton(), catalog).app, bearer_header(key))


def test_an_annotation_is_for_the_model_that_made_the_prediction(
    client: AsgiClient, said: Said
) -> None:
    answer = client.request("PUT", PATH, json={"label": "owl"})
    assert answer.status_code == 200
    assert said.places == [Place(OTHER, prediction_id=KEY)]
    given = answer.json()
    assert (given["model"], given["annotation"], given["author"]) == (
        OTHER,
        {"label": "owl"},
        "client",
    )
    assert client.request("GET", PATH).json() == {"annotations": [given]}


def test_an_annotation_is_volunteered_unless_it_answers_the_draw(client: AsgiClient) -> None:
    assert client.request("PUT", PATH, json={"label": "owl"}).json()["origin"] == "volunteered"
    percent = declaration(OTHER).monitoring.audit_percent
    drawn = next(key for key in iter(uuid4, None) if is_drawn(key, percent))
    path = f"/v1/predictions/{drawn}/annotation"
    params = {"answers_draw": "true"}
    given = client.request("PUT", path, json={"label": "owl"}, params=params).json()
    assert given["origin"] == "audit"


@pytest.mark.parametrize("way", ["null", "delete"])
def test_what_was_said_is_taken_back(client: AsgiClient, said: Said, way: str) -> None:
    client.request("PUT", PATH, json={"label": "owl"})
    options = {"content": b"null"} if way == "null" else {}
    answer = client.request("PUT" if way == "null" else "DELETE", PATH, **options)
    assert (answer.status_code, answer.content) == (204, b"")
    assert said.places[1] == Place(OTHER, prediction_id=KEY)
    assert client.request("GET", PATH).json() == {"annotations": []}


@pytest.mark.parametrize(("asked", "expected"), [(None, CHAMPION), (OTHER, OTHER)])
def test_until_a_prediction_has_come_the_model_is_as_asked(
    client: AsgiClient, said: Said, asked: str | None, expected: str
) -> None:
    said.made_by = None
    params = {} if asked is None else {"model": asked}
    client.request("PUT", PATH, json={"label": "owl"}, params=params)
    assert [place.model_name for place in said.places] == [expected]


@pytest.mark.parametrize(
    ("params", "body", "code", "detail"),
    [
        ({"model": CHAMPION}, {"label": "owl"}, "invalid_request", "birds made this prediction"),
        ({"model": "none"}, {"label": "owl"}, "unknown_model", "model: no model 'none'"),
        ({}, {"label": "olw"}, "unknown_class", "birds has no class 'olw'"),
        ({}, {"labels": ["owl"]}, "invalid_request", "label: Field required"),
        ({"colour": "red"}, {"label": "owl"}, "invalid_request", "colour: "),
    ],
)
def test_a_wrong_annotation_is_refused(
    client: AsgiClient, said: Said, params: dict[str, str], body: object, code: str, detail: str
) -> None:
    answer = client.request("PUT", PATH, json=body, params=params)
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert detail in answer.json()["detail"]
    assert said.places == []


def test_a_new_class_is_taken_if_it_is_said_to_be_new(client: AsgiClient, said: Said) -> None:
    params = {"new_classes": "true"}
    assert client.request("PUT", PATH, json={"label": "elk"}, params=params).status_code == 200
    assert len(said.places) == 1
