"""Labelling batches by HTTP: what is listed, claimed and given up, and the codes of problems."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from tests.services.asgi_client import AsgiClient
from tests.services.gateway_fakes import FakeCatalog, FakeTriton, gateway_of
from visionops_assets.catalog.claims import Claim, ClaimOfAnotherError, NothingToClaimError
from visionops_assets.catalog.keys import bearer_header
from visionops_assets.catalog.labelling import BatchProgress
from visionops_assets.contracts import Purpose, Scope
from visionops_assets.errors import NotFoundError
from visionops_assets.services.gateway import labelling

PATH = "/v1/labelling-batches"
AT = datetime(2026, 1, 1, tzinfo=UTC)
KEY = UUID(int=7)
OF_PREDICTION = Claim(1, AT, KEY, "cat", True, None, None, None, None)
OF_PART = Claim(2, AT, None, None, False, KEY, "gate/1.mp4", 1.5, 2.0)


def batch(batch_id: int, purpose: Purpose = Purpose.AUDIT) -> BatchProgress:
    return BatchProgress(batch_id, "birds & bees", 2, None, AT, None, 9, 4, purpose)


class Played:
    """Notes what is asked of the catalog, and answers for it."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.purpose = Purpose.AUDIT
        self.problem: Exception | None = None

    def batches(self, _: object, **wanted: Any) -> list[BatchProgress]:
        self.asked.append(wanted)
        return [batch(3, Purpose.SELECTION), batch(2)]

    def batch_of(self, _: object, batch_id: int) -> BatchProgress:
        if batch_id == 404:
            raise NotFoundError("There is no labelling batch 404.")
        return batch(batch_id, self.purpose)

    def do(self, _: object, *wanted: Any) -> list[Claim]:
        self.asked.append(wanted)
        if self.problem:
            raise self.problem
        return [OF_PREDICTION, OF_PART]


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> Played:
    played = Played()
    monkeypatch.setattr(labelling, "batches", played.batches)
    monkeypatch.setattr(labelling, "batch_of", played.batch_of)
    for name in ("claim", "claims_of", "give_up"):
        monkeypatch.setattr(labelling, name, played.do)
    return played


def client_of(scope: Scope) -> AsgiClient:
    catalog = FakeCatalog()
    headers = bearer_header(catalog.issue(scope))
    return AsgiClient(gateway_of(FakeTriton(), catalog).app, headers)


@pytest.fixture
def client(played: Played) -> AsgiClient:
    assert played.asked == []
    return client_of(Scope.LABEL)


def test_batches_are_listed_with_purpose_and_progress(client: AsgiClient, played: Played) -> None:
    answer = client.get(f"{PATH}?model=birds&purpose=selection&open=true&limit=7")
    assert answer.status_code == 200
    first, second = answer.json()["batches"]
    assert (first["batch_id"], first["purpose"], second["purpose"]) == (3, "selection", "audit")
    assert (first["items"], first["labelled"], first["decision_id"]) == (9, 4, None)
    asked = {"model_name": "birds", "purpose": Purpose.SELECTION, "only_open": True, "limit": 7}
    assert played.asked == [asked]


@pytest.mark.parametrize("purpose", Purpose)
def test_a_claim_says_where_it_is_answered(
    client: AsgiClient, played: Played, purpose: Purpose
) -> None:
    played.purpose = purpose
    answer = client.post(f"{PATH}/3/claims?items=2&for_s=60")
    assert answer.status_code == 200
    assert played.asked == [(3, "client", 2, timedelta(seconds=60))]
    of_prediction, of_part = answer.json()["claims"]
    draw = "&answers_draw=true" if purpose in {Purpose.AUDIT, Purpose.HOLDOUT} else ""
    model = "model=birds+%26+bees"
    assert of_prediction["annotation_path"] == f"/v1/predictions/{KEY}/annotation?{model}{draw}"
    part = "start_s=1.5&end_s=2.0"
    assert of_part["annotation_path"] == f"/v1/media/{KEY}/annotation?{model}&{part}"
    assert (of_prediction["answer"], of_part["filename"]) == ("cat", "gate/1.mp4")


def test_the_own_claims_are_read_and_given_up(client: AsgiClient, played: Played) -> None:
    assert len(client.get(f"{PATH}/3/claims").json()["claims"]) == 2
    answer = client.request("DELETE", f"{PATH}/3/claims/12")
    assert (answer.status_code, answer.content) == (204, b"")
    assert played.asked == [(3, "client"), (3, 12, "client")]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("POST", "404/claims", 404, "not_found"),
        ("GET", "404/claims", 404, "not_found"),
        ("DELETE", "404/claims/1", 404, "not_found"),
        ("POST", "0/claims", 422, "invalid_request"),
        ("POST", f"{2**63}/claims", 422, "invalid_request"),
        ("POST", "one/claims", 422, "invalid_request"),
        ("POST", "3/claims?items=0", 422, "invalid_request"),
        ("POST", "3/claims?items=101", 422, "invalid_request"),
        ("POST", "3/claims?for_s=9", 422, "invalid_request"),
        ("POST", "3/claims?for_s=86401", 422, "invalid_request"),
        ("DELETE", f"3/claims/{2**63}", 422, "invalid_request"),
        ("GET", "?purpose=fun", 422, "invalid_request"),
        ("GET", "?limit=1001", 422, "invalid_request"),
        ("GET", "?model=%00", 422, "invalid_request"),
    ],
)
def test_problems_have_codes(
    client: AsgiClient, method: str, path: str, status: int, code: str
) -> None:
    answer = client.request(method, f"{PATH}/{path}" if path[0] != "?" else PATH + path)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


@pytest.mark.parametrize(
    ("method", "path", "problem"),
    [
        ("POST", "3/claims", NothingToClaimError("Labelling batch 3 has nothing to claim.")),
        ("DELETE", "3/claims/1", ClaimOfAnotherError("Item 1 is claimed by another key.")),
    ],
)
def test_what_is_claimed_is_a_conflict(
    client: AsgiClient, played: Played, method: str, path: str, problem: NothingToClaimError
) -> None:
    played.problem = problem
    answer = client.request(method, f"{PATH}/{path}")
    assert (answer.status_code, answer.json()["code"]) == (409, problem.code)
    assert answer.json()["detail"] == str(problem)


@pytest.mark.parametrize("scope", [Scope.PREDICT, Scope.INGEST])
def test_only_keys_that_may_label_claim(played: Played, scope: Scope) -> None:
    client = client_of(scope)
    for method, path in (("GET", ""), ("POST", "/3/claims"), ("GET", "/3/claims")):
        assert client.request(method, PATH + path).status_code == 403
    assert client.request("DELETE", f"{PATH}/3/claims/1").status_code == 403
    assert played.asked == []
