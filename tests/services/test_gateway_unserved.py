"""What the gateway's clients hear while no model serves."""

import logging
from typing import Any

import pytest

from tests.catalog.standings import standing, version
from tests.services.asgi_client import AsgiClient
from tests.services.gateway_fakes import CHAMPION, PNG, FakeCatalog, FakeTriton, gateway_of
from visionops_assets.catalog.next_steps import ModelStanding, next_step, why_nothing_serves
from visionops_assets.contracts import GateState, Scope
from visionops_assets.errors import NoModelServedError
from visionops_assets.services.gateway import unserved

REFUSED = standing(version(2, GateState.REFUSED))
ADDRESS = "triton.internal:8001"


class Standings:
    """Stands in for the catalog's query, and counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.known: ModelStanding | None = REFUSED

    def ask(self, *_: Any) -> ModelStanding:
        self.asked += 1
        if self.known is None:
            raise RuntimeError("The schema is older.")
        return self.known


@pytest.fixture
def standings(monkeypatch: pytest.MonkeyPatch) -> Standings:
    found = Standings()
    monkeypatch.setattr(unserved, "model_standing", found.ask)
    return found


@pytest.fixture
def client(standings: Standings) -> AsgiClient:
    triton, catalog = FakeTriton(), FakeCatalog()
    triton.outcomes[CHAMPION] = NoModelServedError(f"Triton at {ADDRESS} serves no such model.")
    key = catalog.issue(Scope.PREDICT).get_secret_value()
    return AsgiClient(gateway_of(triton, catalog).app, headers={"Authorization": f"Bearer {key}"})


def ask(client: AsgiClient) -> dict[str, Any]:
    answer = client.post("/v1/predict", content=PNG, headers={"Content-Type": "image/png"})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    problem: dict[str, Any] = answer.json()
    assert problem["code"] == "no_model_served"
    assert ADDRESS not in answer.text
    return problem


def test_a_client_hears_why_no_model_serves_and_what_to_do(
    client: AsgiClient, standings: Standings
) -> None:
    problem = ask(client)
    assert problem["detail"] == why_nothing_serves(REFUSED)
    assert "version, 2, was refused by the gate" in problem["detail"]
    assert next_step(REFUSED.versions[0], REFUSED) in problem["detail"]


def test_many_clients_cost_the_catalog_one_question(
    client: AsgiClient, standings: Standings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        ask(client)
    assert standings.asked == 1
    monkeypatch.setattr(unserved, "KEPT_S", -1.0)
    standings.known = standing()
    assert ask(client)["detail"] == why_nothing_serves(standing())


def test_a_catalog_that_cannot_be_asked_is_no_other_error(
    client: AsgiClient, standings: Standings, caplog: pytest.LogCaptureFixture
) -> None:
    standings.known = None
    with caplog.at_level(logging.ERROR):
        assert ask(client)["detail"] == unserved.UNKNOWN
    assert "The schema is older." in caplog.text
