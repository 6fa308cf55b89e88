"""Traces by HTTP: for operators, in both directions, list by list."""

from typing import Any

import pytest

from tests.lineage.traces import PREDICTION, branch, node, traced
from tests.services.asgi_client import AsgiClient
from tests.services.gateway_fakes import FakeCatalog, FakeTriton, gateway_of
from visionops_assets.catalog.keys import bearer_header
from visionops_assets.contracts import Scope
from visionops_assets.errors import NotFoundError
from visionops_assets.lineage.records import Direction, Kind
from visionops_assets.services.gateway import lineage

PATH = f"/v1/lineage/prediction/{PREDICTION}"


def client_of(scope: Scope) -> AsgiClient:
    catalog = FakeCatalog()
    headers = bearer_header(catalog.issue(scope))
    return AsgiClient(gateway_of(FakeTriton(), catalog).app, headers)


@pytest.fixture
def client() -> AsgiClient:
    return client_of(Scope.ADMIN)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    asked: list[Any] = []

    def give(_: object, *wanted: Any) -> Any:
        asked.append(wanted)
        if wanted[1] == "none":
            raise NotFoundError("There is no prediction 'none'.")
        if len(wanted) == len(("kind", "id", "wanted")):
            return traced()
        return branch("annotations", node("annotation", "7", 1), count=9)

    monkeypatch.setattr(lineage, "trace", give)
    monkeypatch.setattr(lineage, "trace_list", give)
    return asked


def test_both_directions_are_told(client: AsgiClient, asked: list[Any]) -> None:
    answer = client.get(PATH)
    assert answer.status_code == 200
    assert answer.json()["up"]["branches"][0]["nodes"][0]["id"] == "classifier:3"
    assert answer.json()["down"]["branches"][0]["name"] == "annotations"
    ((kind, name, wanted),) = asked
    assert (kind, name, wanted.directions) == (Kind.PREDICTION, PREDICTION, tuple(Direction))


def test_one_direction_and_a_page_of_a_list(client: AsgiClient, asked: list[Any]) -> None:
    assert client.get(f"{PATH}?direction=down&limit=3").status_code == 200
    assert (asked[0][2].directions, asked[0][2].limit) == ((Direction.DOWN,), 3)
    page = client.get(f"{PATH}/annotations?cursor=abc&limit=1").json()
    assert asked[1] == (Kind.PREDICTION, PREDICTION, "annotations", 1, "abc")
    assert (page["count"], page["cursor"]) == (9, "next")


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v1/lineage/prediction/none", 404, "not_found"),
        ("/v1/lineage/planet/earth", 422, "invalid_request"),
        (f"{PATH}?direction=sideways", 422, "invalid_request"),
        (f"{PATH}?limit=0", 422, "invalid_request"),
        (f"{PATH}?limit=1001", 422, "invalid_request"),
    ],
)
def test_problems_have_codes(
    client: AsgiClient, asked: list[Any], path: str, status: int, code: str
) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


@pytest.mark.parametrize("scope", [Scope.PREDICT, Scope.INGEST, Scope.LABEL])
def test_only_operators_may_ask(asked: list[Any], scope: Scope) -> None:
    for path in (PATH, f"{PATH}/annotations"):
        assert client_of(scope).get(path).status_code == 403
    assert asked == []
