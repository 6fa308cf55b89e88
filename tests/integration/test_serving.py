"""Releases on a live Triton, under a model name of its own: nothing fails, nothing bad serves."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import anyio
import httpx
import numpy as np
import pandas as pd
import pytest
import torch
from sqlalchemy import func, select

from tests.integration.conftest import key_header
from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.releases import add_verdict, champion
from visionops_assets.catalog.schema import Label, Release
from visionops_assets.contracts import (
    ExportedModel,
    GateVerdict,
    ModelCard,
    Prediction,
    PreprocessingSpec,
    Scope,
)
from visionops_assets.errors import (
    CorruptMediaError,
    GateRefusedError,
    NoModelServedError,
    ReleaseError,
    UnsupportedMediaError,
)
from visionops_assets.resources.broker import Broker
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.resources.triton import Answer, TritonServer
from visionops_assets.services.gateway.app import create_app
from visionops_assets.services.gateway.predictor import Predictor
from visionops_assets.settings import Settings
from visionops_assets.stages.serving.release import Releaser
from visionops_assets.stages.serving.repository import sha256_by_file
from visionops_assets.stages.snapshot_files import MEMBER_COLUMNS, SnapshotFiles, write_snapshot
from visionops_assets.vision.architectures import build
from visionops_assets.vision.export import export_onnx
from visionops_assets.vision.preprocessing import encode_png

SIZE_PX = 16
CARD = ModelCard(
    architecture="resnet-tiny",
    classes=("a", "b", 'quoted "c"'),
    embedding_size=96,
    spec=PreprocessingSpec(size_px=SIZE_PX),
    mean=(0.5, 0.5, 0.5),
    std=(0.25, 0.25, 0.25),
    snapshot_id="snapshot-serving",
    seed=0,
)
IMAGES = np.random.default_rng(0).integers(0, 256, (8, SIZE_PX, SIZE_PX, 3), dtype=np.uint8)


class Serving:
    """One model: exports of fresh weights, verdicts, releases and predictions."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.model = f"serving-{uuid4().hex[:8]}"
        self.settings = settings
        self.catalog, self.store, self.triton = Catalog(), ObjectStore(), TritonServer()
        self.releaser = Releaser(
            self.catalog, self.store, self.triton, settings.project_root / "triton_models"
        )
        self._folder = folder
        self._write_snapshot()

    def _write_snapshot(self) -> None:
        rows = [[str(uuid4()), str(uuid4()), f"g{i}", "a", 0, "holdout"] for i in range(8)]
        members = pd.DataFrame(rows, columns=MEMBER_COLUMNS)
        write_snapshot(self.store, CARD.snapshot_id, SnapshotFiles(IMAGES, members))

    def export(self, version: int, onnx_model: bytes | None = None) -> ExportedModel:
        """Store an export of random weights that differ by version, or the given bytes."""
        path = self._folder / f"{version}.onnx"
        torch.manual_seed(version)
        export_onnx(build("resnet-tiny", len(CARD.classes)).eval(), CARD, path)
        files = {
            "model.onnx": onnx_model or path.read_bytes(),
            "model.json": CARD.model_dump_json().encode(),
        }
        prefix = f"exports/{self.model}/{version}/"
        for name, data in files.items():
            self.store.put(prefix + name, data)
        return ExportedModel(
            model_name=self.model,
            model_version=version,
            snapshot_id=CARD.snapshot_id,
            object_prefix=prefix,
            sha256_by_file=sha256_by_file(files),
            golden_images=len(IMAGES),
            label_agreement=1,
            max_probability_error=0,
        )

    def judge(self, version: int, *, passed: bool = True) -> None:
        with self.catalog.begin() as session:
            current = champion(session, self.model)
            verdict = GateVerdict(
                model_name=self.model,
                model_version=version,
                champion_version=current.model_version if current else None,
                snapshot_id=CARD.snapshot_id,
                holdout_size=8,
                accuracy=1,
                accuracy_low=1,
                accuracy_high=1,
                champion_accuracy=None,
                passed=passed,
                reason="A test.",
            )
            add_verdict(session, verdict, "test")

    def release(self, version: int) -> None:
        exported = self.export(version)
        self.judge(version)
        self.releaser.release(exported, "test")

    def predict(self, *images: bytes) -> list[Answer]:
        return self.triton.predict(self.model, images)

    def releases(self) -> int:
        with self.catalog.begin() as session:
            query = select(func.count()).where(Release.model_name == self.model)
            return session.scalar(query) or 0


@pytest.fixture
def serving(stack: Settings, tmp_path: Path) -> Iterator[Serving]:
    serving = Serving(stack, tmp_path)
    yield serving
    serving.triton.unload(serving.model)


@pytest.fixture(scope="module")
def served(stack: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """Version 1, released; for tests that release nothing else."""
    served = Serving(stack, tmp_path_factory.mktemp("served"))
    served.release(1)
    yield served
    served.triton.unload(served.model)


@contextmanager
def steady_load(serving: Serving) -> Iterator[tuple[Counter[int], list[Exception]]]:
    """Predict without a pause; count answers by version, and keep every error."""
    versions: Counter[int] = Counter()
    errors: list[Exception] = []
    stopping = threading.Event()
    image = encode_png(IMAGES[0])

    def predict() -> None:
        while not stopping.wait(0.01):
            try:
                versions[serving.predict(image)[0].model_version] += 1
            except Exception as error:
                errors.append(error)

    thread = threading.Thread(target=predict)
    thread.start()
    try:
        yield versions, errors
    finally:
        stopping.set()
        thread.join()


def test_a_release_replaces_the_champion_without_a_failed_request(serving: Serving) -> None:
    with pytest.raises(NoModelServedError):
        serving.predict(encode_png(IMAGES[0]))
    serving.release(1)
    with steady_load(serving) as (versions, errors):
        serving.release(2)
        (answer,) = serving.predict(encode_png(IMAGES[0]))
    assert errors == []
    assert set(versions) == {1, 2}
    assert answer.model_version == 2
    assert serving.releases() == 2


def test_releasing_the_champion_again_changes_nothing(served: Serving) -> None:
    outcome = served.releaser.release(served.export(1), "test")
    assert outcome.smoke_test is None
    assert served.releases() == 1


def test_what_must_not_serve_is_refused_and_the_champion_serves_on(serving: Serving) -> None:
    serving.release(1)
    exported = serving.export(2)
    with steady_load(serving) as (versions, errors):
        with pytest.raises(GateRefusedError, match="never evaluated"):
            serving.releaser.release(exported, "test")
        serving.judge(2, passed=False)
        with pytest.raises(GateRefusedError, match="refused"):
            serving.releaser.release(exported, "test")
        serving.judge(2)
        with pytest.raises(ReleaseError, match="does not run"):
            serving.releaser.release(serving.export(2, b"no model"), "test")
    assert errors == []
    assert set(versions) == {1}
    assert serving.releases() == 1


def test_a_pipeline_that_does_not_load_is_refused(serving: Serving, tmp_path: Path) -> None:
    serving.release(1)
    templates = serving.settings.project_root / "triton_models" / "classifier"
    broken = tmp_path / "classifier"
    broken.mkdir()
    (broken / "config.pbtxt.j2").write_bytes((templates / "config.pbtxt.j2").read_bytes())
    (broken / "model.py").write_text("raise RuntimeError('broken pipeline')")
    serving.judge(2)
    releaser = Releaser(serving.catalog, serving.store, serving.triton, tmp_path)
    with pytest.raises(ReleaseError, match="broken pipeline"):
        releaser.release(serving.export(2), "test")
    assert serving.triton.served_version(serving.model) == 1
    # The same version, mended, is not held up by what its failed release left.
    serving.releaser.release(serving.export(2), "test")
    assert serving.triton.served_version(serving.model) == 2


def test_a_server_that_lost_the_champion_gets_it_back(serving: Serving) -> None:
    serving.release(1)
    serving.triton.unload(serving.model)
    assert "again" in serving.releaser.converge(serving.model)
    assert serving.predict(encode_png(IMAGES[0]))[0].model_version == 1
    assert "as it should be" in serving.releaser.converge(serving.model)


def test_a_bad_image_fails_alone(served: Serving) -> None:
    good = encode_png(IMAGES[0])
    outcomes = served.triton.predict_each(served.model, [good, b"junk", good, good[:50]])
    kinds = [type(outcome) for outcome in outcomes]
    assert kinds == [Answer, UnsupportedMediaError, Answer, CorruptMediaError]


def test_predictions_are_recorded_and_smoke_tests_are_not(served: Serving) -> None:
    images = [encode_png(image) for image in IMAGES]
    unrecorded = served.triton.predict(served.model, images, record=False)
    answers = served.predict(*images)
    recorded = recorded_ids(served, {answer.prediction_id for answer in answers})
    assert recorded >= {answer.prediction_id for answer in answers}
    assert recorded.isdisjoint(answer.prediction_id for answer in unrecorded)


def recorded_ids(serving: Serving, expected: set[UUID]) -> set[UUID]:
    """Read the model's predictions from the queue, until the expected ones have come."""
    found: set[UUID] = set()
    offset = 0
    with Broker().reader() as reader:
        for _ in range(20):
            events = reader.poll(
                serving.settings.kafka_predictions_topic, 0, offset, 10_000, timeout_s=2
            )
            predictions = [Prediction.model_validate_json(event.value) for event in events]
            found |= {p.prediction_id for p in predictions if p.model_name == serving.model}
            offset = events[-1].offset + 1 if events else offset
            if found >= expected:
                break
    return found


def test_http_and_grpc_answer_alike_and_a_prediction_takes_a_label(served: Serving) -> None:
    image = encode_png(IMAGES[3])
    answered = anyio.run(over_http, served, image)
    (answer,) = served.predict(image)
    assert answered["label"] == answer.label
    assert list(answered["probabilities"]) == list(CARD.classes)
    assert tuple(answered["probabilities"].values()) == pytest.approx(answer.probabilities)
    assert answered["problem"]["code"] == "unsupported_media_type"
    with served.catalog.begin() as session:
        query = select(Label).where(Label.prediction_id == UUID(answered["prediction_id"]))
        row = session.scalars(query).one()
    assert (row.label, row.origin) == ("b", "feedback")


async def over_http(serving: Serving, image: bytes) -> dict[str, Any]:
    """Predict through the gateway, label the prediction, and send something unusable."""
    predictor = Predictor(serving.settings.triton_grpc_address, serving.model)
    transport = httpx.ASGITransport(create_app(predictor, serving.catalog, serving.settings))
    key = key_header(Scope.PREDICT, Scope.LABEL)
    headers = {"content-type": "image/png"} | key
    async with (
        predictor.connected(),
        httpx.AsyncClient(transport=transport, base_url="http://gateway") as client,
    ):
        answer = await client.post("/v1/predict", content=image, headers=headers)
        body: dict[str, Any] = answer.json()
        label_url = f"/v1/predictions/{body['prediction_id']}/label"
        labelled = await client.post(label_url, json={"label": "b"}, headers=key)
        problem = await client.post("/v1/predict", content=b"junk", headers=headers)
    assert (answer.status_code, labelled.status_code, problem.status_code) == (200, 201, 415)
    return body | {"problem": problem.json()}
