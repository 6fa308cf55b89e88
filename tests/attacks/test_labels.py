"""A key that says what is wrong of all that it sees: its labels are taken back, and all follow."""

import json
import unicodedata
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import select

from tests.integration.decided_rows import label_frames, predict
from tests.integration.released_models import Serving, decided_model
from tests.integration.test_decisions import decide, requests_of
from tests.stacks import visionops
from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.datasets import label_backlog
from visionops_assets.catalog.keys import bearer_header, create
from visionops_assets.catalog.performance import monitored_releases
from visionops_assets.catalog.schema import AnnotationRow, Decision
from visionops_assets.contracts import Outcome, Scope
from visionops_assets.contracts.payloads import text_of
from visionops_assets.models import default_model
from visionops_assets.monitoring.errors import error_stream
from visionops_assets.settings import Settings


@pytest.fixture
def serving(quiet_stack: Settings) -> Iterator[Serving]:
    with decided_model(quiet_stack) as serving:
        yield serving


@pytest.fixture
def liar() -> str:
    """A name for a key."""
    return f"liar-{uuid4().hex[:8]}"


def taken_back(name: str) -> dict[str, int]:
    done = visionops("labels", "revoke", "--by", name, "--json")
    assert done.returncode == 0, done.stderr
    said: dict[str, int] = json.loads(done.stdout)
    return said


def errors_seen(serving: Serving) -> Counter[bool]:
    with serving.catalog.begin() as session:
        (release,) = (r for r in monitored_releases(session) if r.model_name == serving.model)
        return Counter(error_stream(session, release, "classification").tolist())


def is_alarmed(decision: Decision) -> bool:
    """Say whether it was decided to retrain, or would have been with three labelled frames."""
    return decision.outcome == Outcome.RETRAIN or "3 are needed" in decision.reason


def newly_labelled() -> int:
    with Catalog().begin() as session:
        return label_backlog(session, default_model()).new_frames


def test_wrong_labels_of_predictions(serving: Serving, liar: str) -> None:
    """A key calls 60 right answers wrong: alarm and decisions follow `labels revoke`."""
    right = predict(serving, 30, right=True)
    seen = predict(serving, 60, right=None)
    with serving.catalog.begin() as session:
        _, key = create(session, liar, [Scope.LABEL])
    url, headers = serving.settings.gateway_url, bearer_header(key)
    wrong = {"label": "b", "answers_draw": True}
    with httpx.Client(base_url=url, headers=headers, trust_env=False) as gateway:
        for prediction_id in seen:
            said = gateway.post(f"/v1/predictions/{prediction_id}/label", json=wrong)
            assert said.is_success, said.text
    assert errors_seen(serving) == {False: len(right), True: len(seen)}
    assert is_alarmed(decide(serving))
    assert taken_back(liar) == {"by": liar, "media": 0, "predictions": len(seen)}
    assert errors_seen(serving) == {False: len(right)}
    after = decide(serving)
    assert after.evidence["labels"] == len(right)
    assert not is_alarmed(after)


def test_wrong_labels_of_media(serving: Serving, liar: str) -> None:
    """A key labels media wrongly when a model is to be repaired: no snapshot is cut of them."""
    before = newly_labelled()
    predict(serving, 60, right=False)
    label_frames(3, author=liar)
    assert newly_labelled() == before + 3
    assert decide(serving).outcome == Outcome.RETRAIN
    assert len(requests_of("new_labels")) == 1
    assert taken_back(liar) == {"by": liar, "media": 3, "predictions": 0}
    assert newly_labelled() == before
    if not before:
        assert requests_of("new_labels") == []


def test_labels_of_predictions_that_only_look_alike(quiet_stack: Settings, liar: str) -> None:
    """Label a prediction by signs that nobody sees: 422; two spellings of one word are one."""
    with Catalog().begin() as session:
        _, key = create(session, liar, [Scope.LABEL])
    url, headers = quiet_stack.gateway_url, bearer_header(key)
    with httpx.Client(base_url=url, headers=headers, trust_env=False) as gateway:
        for unseen in ("ca\N{ZERO WIDTH SPACE}t", "\N{SOFT HYPHEN}cat", "cat\N{WORD JOINER}"):
            said = gateway.post(f"/v1/predictions/{uuid4()}/label", json={"label": unseen})
            assert (said.status_code, said.json()["code"]) == (422, "invalid_request")
        for form in ("NFC", "NFD"):
            label = unicodedata.normalize(form, "kaf\u00e9")
            said = gateway.post(f"/v1/predictions/{uuid4()}/label", json={"label": label})
            assert said.is_success, said.text
    with Catalog().begin() as session:
        kept = session.scalars(
            select(AnnotationRow.payload).where(AnnotationRow.author == liar)
        ).all()
    assert list(map(text_of, kept)) == ["kaf\u00e9"] * 2


def test_labels_of_a_table_that_only_look_alike(
    quiet_stack: Settings, liar: str, tmp_path: Path
) -> None:
    """Apply a table with two spellings of one word: they are one label."""
    with Catalog().begin() as session:
        _, key = create(session, liar, [Scope.LABEL])
    table = tmp_path / "labels.csv"
    spelled = (unicodedata.normalize(form, "kaf\u00e9") for form in ("NFC", "NFD"))
    rows = [f"{uuid4()},{label}" for label in spelled]
    table.write_text("\n".join(["prediction_id,label", *rows]), encoding="utf-8")
    key_option = ("--key", key.get_secret_value())
    done = visionops("labelling-batches", "apply", str(table), *key_option)
    assert done.returncode == 0, done.stderr
    with Catalog().begin() as session:
        kept = session.scalars(
            select(AnnotationRow.payload).where(AnnotationRow.author == liar)
        ).all()
    assert list(map(text_of, kept)) == ["kaf\u00e9"] * 2
