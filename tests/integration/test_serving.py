"""Releases on a live Triton, under a model name of its own: nothing fails, nothing bad serves."""

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import dagster as dg
import onnxruntime as ort
import pytest

from tests.declared import declaration
from tests.defined import sensor_of
from tests.integration.released_models import (
    CARD,
    IMAGE,
    IMAGES,
    ORDER,
    Serving,
    over_grpc,
    steady_load,
)
from tests.waiting import eventually
from visionops_assets.client.dagster import DagsterClient
from visionops_assets.client.lineage import Lineage
from visionops_assets.contracts import Prediction, Role
from visionops_assets.errors import (
    CorruptMediaError,
    GateRefusedError,
    NoModelServedError,
    ReleaseError,
    UnsupportedMediaError,
    UntrustedArtifactError,
)
from visionops_assets.releasing.audit import Order
from visionops_assets.releasing.exports import export_prefix
from visionops_assets.releasing.release import Releaser
from visionops_assets.resources.broker import Broker
from visionops_assets.resources.tracking import Tracking
from visionops_assets.resources.triton_answers import ServedAnswer
from visionops_assets.services.releaser.telling import Teller
from visionops_assets.settings import Settings, load_settings
from visionops_assets.vision.preprocessing import encode_frame, to_network_input

TOLD = """
{ assetOrError(assetKey: { path: ["%s", "model_release"] }) { ... on Asset { assetMaterializations {
  metadataEntries { label ... on IntMetadataEntry { intValue } ... on TextMetadataEntry { text } }
} } } }
"""


@pytest.fixture
def serving(stack: Settings) -> Iterator[Serving]:
    serving = Serving(stack)
    yield serving
    serving.unload()


@pytest.fixture(scope="module")
def served(stack: Settings) -> Iterator[Serving]:
    """Version 1, released; for tests that release nothing else."""
    served = Serving(stack)
    served.release(1)
    yield served
    served.unload()


def test_a_release_replaces_the_champion_without_a_failed_request(serving: Serving) -> None:
    with pytest.raises(NoModelServedError):
        serving.predict(IMAGE)
    serving.release(1)
    with steady_load(over_grpc(serving)) as load:
        serving.release(2)
        eventually("requests to version 2", lambda: load.versions[2] > 0)
        (answer,) = serving.predict(IMAGE)
    assert load.errors == []
    assert set(load.versions) == {1, 2}
    assert answer.model_version == 2
    assert serving.releases() == 2
    assert serving.actions() == ["promoted 1", "promoted 2"]


def test_releasing_the_champion_again_changes_nothing(served: Serving) -> None:
    outcome = served.releaser.promote(served.model, 1, ORDER)
    assert outcome.smoke_test is None
    assert served.actions() == ["promoted 1"]


def test_what_must_not_serve_is_refused_and_the_champion_serves_on(serving: Serving) -> None:
    serving.release(1)
    serving.export(2)
    with steady_load(over_grpc(serving)) as load:
        with pytest.raises(GateRefusedError, match="never evaluated"):
            serving.releaser.promote(serving.model, 2, ORDER)
        serving.judge(2, passed=False)
        with pytest.raises(GateRefusedError, match="did not pass"):
            serving.releaser.promote(serving.model, 2, ORDER)
        serving.judge(2)
        serving.export(2, b"no model")
        with pytest.raises(ReleaseError, match="does not run"):
            serving.releaser.promote(serving.model, 2, ORDER)
    assert load.errors == []
    assert set(load.versions) == {1}
    assert serving.releases() == 1
    assert serving.actions() == ["promoted 1", "refused 2", "refused 2", "failed 2"]
    assert [bool(event.verdict) for event in serving.audit()] == [True, False, True, True]


@pytest.mark.attack
def test_an_export_that_was_changed_is_not_released(serving: Serving) -> None:
    """An export altered in the store is not released."""
    serving.release(1)
    serving.offer(2)
    key = f"exports/{serving.model}/2/model.onnx"
    serving.store.put(key, serving.store.get(key) + b" ")
    with pytest.raises(UntrustedArtifactError, match=r"model\.onnx differs"):
        serving.releaser.promote(serving.model, 2, ORDER)
    assert serving.served() == [1]


@pytest.mark.attack
def test_a_version_that_was_changed_is_not_gone_back_to(serving: Serving) -> None:
    """A released version altered in the store is not gone back to."""
    serving.release(1)
    serving.release(2)
    key = f"releases/{serving.model}/1/model.onnx"
    serving.store.put(key, serving.store.get(key) + b" ")
    with pytest.raises(UntrustedArtifactError, match=r"model\.onnx differs"):
        serving.releaser.roll_back(serving.model, ORDER)
    assert serving.served() == [2]


def test_a_pipeline_that_does_not_load_is_refused(serving: Serving, tmp_path: Path) -> None:
    serving.release(1)
    templates = serving.settings.project_root / "triton_models" / "classifier"
    broken = tmp_path / "classifier"
    broken.mkdir()
    for template in templates.glob("*.j2"):
        (broken / template.name).write_bytes(template.read_bytes())
    (broken / "model.py").write_text("raise RuntimeError('broken pipeline')")
    serving.offer(2)
    releaser = Releaser(replace(serving.controller, pipelines_dir=tmp_path))
    with pytest.raises(ReleaseError, match="broken pipeline"):
        releaser.promote(serving.model, 2, ORDER)
    assert serving.served() == [1]
    # The same version, mended, is not held up by what its failed release left.
    serving.releaser.promote(serving.model, 2, ORDER)
    assert serving.served() == [2]


def test_a_server_that_lost_the_champion_gets_it_back(serving: Serving) -> None:
    serving.release(1)
    serving.triton.unload(serving.model)
    assert "again" in serving.converge()
    assert serving.predict(IMAGE)[0].model_version == 1
    assert "as it should be" in serving.converge()


def test_a_bad_image_fails_alone(served: Serving) -> None:
    outcomes = served.triton.predict_each(
        served.model, [IMAGE, b"junk", IMAGE, IMAGE[:50]], task="classification"
    )
    kinds = [type(outcome) for outcome in outcomes]
    assert kinds == [ServedAnswer, UnsupportedMediaError, ServedAnswer, CorruptMediaError]


def test_predictions_are_recorded_and_smoke_tests_are_not(served: Serving) -> None:
    images = [encode_frame(image) for image in IMAGES]
    unrecorded = served.triton.predict(served.model, images, record=False, task="classification")
    answers = served.predict(*images)
    recorded = recorded_ids(served, {answer.prediction_id for answer in answers})
    assert recorded >= {answer.prediction_id for answer in answers}
    assert recorded.isdisjoint(answer.prediction_id for answer in unrecorded)


def recorded_ids(serving: Serving, expected: set[UUID]) -> set[UUID]:
    """Read the model's predictions from the queue, until the expected ones have come.

    A topic that other tests filled takes many reads.
    """
    found: set[UUID] = set()
    offset, deadline_s = 0, time.monotonic() + 60
    with Broker().reader() as reader:
        while time.monotonic() < deadline_s and not found >= expected:
            events = reader.poll(
                serving.settings.kafka_predictions_topic, 0, offset, 10_000, timeout_s=2
            )
            predictions = [Prediction.model_validate_json(event.value) for event in events]
            found |= {p.prediction_id for p in predictions if p.model_name == serving.model}
            offset = events[-1].offset + 1 if events else offset
    return found


def test_lineage_shows_a_release_that_no_run_made_once(
    serving: Serving,
) -> None:
    tracking = Tracking()
    run_id = tracking.create_run("releases", "a training", {})
    version = tracking.register(serving.model, run_id, {})
    tracking.end_run(run_id, "FINISHED")
    serving.offer(version)
    reason = f"Why not {serving.model}."
    serving.releaser.promote(serving.model, version, Order("anna", reason))
    with closing(DagsterClient(serving.settings.dagster_url)) as dagster:
        # Two of them, as after a restart.
        for _ in range(2):
            Teller(serving.catalog, Lineage(dagster), serving.model).tell()
        told = dagster.query(TOLD % serving.model, {})["assetOrError"]["assetMaterializations"]
    shown = [
        {each["label"]: each.get("text", each.get("intValue")) for each in one["metadataEntries"]}
        for one in told
    ]
    [ours] = [each for each in shown if each.get("reason") == reason]
    assert (ours["model_version"], ours["actor"], ours["outcome"]) == (version, "anna", "promoted")
    assert tracking.champion_version(serving.model) is None
    context = dg.build_sensor_context(resources={"catalog": serving.catalog, "tracking": tracking})
    sensor_of("champion_alias", declaration(serving.model))(context)
    assert tracking.champion_version(serving.model) == version


@pytest.fixture
def in_ensembles() -> Iterator[None]:
    """Lay out what is released in the test as ensembles."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VISIONOPS_SERVING_LAYOUT", "ensemble")
        load_settings.cache_clear()
        yield
    load_settings.cache_clear()


@pytest.mark.usefixtures("in_ensembles")
def test_an_ensemble_answers_like_its_network_and_is_released_like_any_model(
    serving: Serving,
) -> None:
    images = [encode_frame(image) for image in IMAGES]
    serving.release(1)
    with steady_load(over_grpc(serving)) as load:
        serving.offer(2)
        serving.rollouts.start(serving.model, 2, Role.SHADOW, 100, ORDER)
        serving.releaser.promote(serving.model, 2, ORDER)
        answers = serving.predict(*images)
        serving.releaser.roll_back(serving.model, ORDER)
    assert load.errors == []
    assert set(load.versions) == {1, 2}
    network = serving.store.get(export_prefix(serving.model, 2) + "model.onnx")
    session = ort.InferenceSession(network, providers=["CPUExecutionProvider"])
    inputs = {"images": to_network_input(IMAGES, CARD)}
    for answer, expected in zip(answers, session.run(["probabilities"], inputs)[0], strict=True):
        assert answer.probabilities == pytest.approx(expected.tolist(), abs=1e-5)
        assert (answer.model_version, answer.snapshot_id) == (2, CARD.snapshot_id)
    outcomes = serving.triton.predict_each(
        serving.model, [images[0], b"junk"], record=False, task="classification"
    )
    assert [type(outcome) for outcome in outcomes] == [ServedAnswer, UnsupportedMediaError]
    ids = {answer.prediction_id for answer in answers}
    assert ids <= recorded_ids(serving, ids)
