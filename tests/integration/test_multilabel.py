"""A multi-label model of scanned digits: trained, judged, released, asked by gRPC, and monitored.

The labels are made from the digits: whether one is even, is above four, has a loop.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import dagster as dg
import numpy as np
import pandas as pd
import pytest
from sqlalchemy import select

from tests.declared import declaration
from tests.defined import asset_of
from tests.integration.released_models import ORDER, Serving
from tests.resources.earlier_snapshots import EARLIER_COLUMNS, write_with_images
from tests.tasks.multilabel.digits import CLASSES, TASK, Pictures, read_digits, train_on
from tests.waiting import eventually
from visionops_assets.catalog.annotations import Place, annotate
from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.decisions import newest_decision
from visionops_assets.catalog.labels import AUDIT
from visionops_assets.catalog.performance import newest_window
from visionops_assets.catalog.releases import add_verdict, champion
from visionops_assets.catalog.schema import Decision, DriftWindow, PerformanceWindow, PredictionRow
from visionops_assets.contracts import Artifact, ArtifactReport, Candidate, ExportedModel
from visionops_assets.contracts.tensors import NETWORK_EMBEDDING
from visionops_assets.models import ModelDeclaration
from visionops_assets.monitoring.comparing import CLASS_SHARE, EMBEDDING
from visionops_assets.monitoring.reference_files import write_reference
from visionops_assets.releasing.exports import EXPORT_FILE, export_prefix
from visionops_assets.releasing.loading import CARD_FILE
from visionops_assets.releasing.manifest import sha256_by_file, write_folder
from visionops_assets.resources.snapshot_files import HOLDOUT
from visionops_assets.resources.snapshot_reading import SnapshotFiles
from visionops_assets.resources.triton_answers import ServedAnswer
from visionops_assets.settings import Settings
from visionops_assets.stages.evaluation.answering import Answers
from visionops_assets.stages.evaluation.assets import reference_of
from visionops_assets.stages.evaluation.gate import judge
from visionops_assets.stages.evaluation.rules import GateRule, HoldoutAnswers
from visionops_assets.stages.serving.export import Reference, bound_of
from visionops_assets.tasks.base import Labels
from visionops_assets.tasks.registry import annotating, serving
from visionops_assets.tasks.running import export, open_onnx, run
from visionops_assets.vision.preprocessing import encode_frame
from visionops_assets.vision.training import TrainedModel

STEPS = 200
TRAINED_ON, JUDGED_ON, UNSEEN = 1_000, 300, 100


@dataclass
class Released:
    """The trained model, its pictures, and where it serves."""

    serving: Serving
    trained: TrainedModel
    unseen: Pictures
    holdout: Pictures

    @property
    def declared(self) -> ModelDeclaration:
        """Its declaration. The alarm is to come with few labels."""
        limits = {"min_accuracy": 0.5, "average_run_length": 100.0}
        return declaration(self.serving.model, task=TASK, monitoring=limits)


class Digits(Serving):
    """Exports what was trained, in place of random weights."""

    def __init__(self, settings: Settings, trained: TrainedModel, holdout: Pictures) -> None:
        self._trained, self._holdout = trained, holdout
        super().__init__(settings, f"digits-{uuid4().hex[:8]}")

    def _write_snapshot(self) -> None:
        texts = [annotating(TASK).parse({"labels": [*its]}).text for its in self._holdout.labels]
        rows = [
            [str(uuid4()), str(uuid4()), f"g{i}", text, 0, HOLDOUT] for i, text in enumerate(texts)
        ]
        members = pd.DataFrame(rows, columns=EARLIER_COLUMNS)
        snapshot_id = self._trained.card.snapshot_id
        write_with_images(self.store, snapshot_id, self._holdout.images, members)

    def judge_trained(self) -> None:
        """Let the gate judge it by the holdout, and keep what monitoring compares with."""
        card, held = self._trained.card, self._holdout
        outputs = run(self._trained.module, held.images, card)
        given = serving(TASK).decode(outputs, card)
        answers = Answers(TASK, CLASSES, given, held.labels, outputs[NETWORK_EMBEDDING.name])
        found = answers.evaluation
        candidate = Candidate(
            model_name=self.model, model_version=1, mlflow_run_id="r", snapshot_id=card.snapshot_id
        )
        groups = HoldoutAnswers(found, np.array(held.groups))
        verdict = judge(candidate, groups, None, GateRule(score="micro_f1", min_score=0.8))
        assert verdict.passed, verdict.reason
        assert verdict.reason.startswith("Passed: micro F1 is ")
        with self.catalog.begin() as session:
            add_verdict(session, verdict, "test")
        kept = reference_of(SnapshotFiles(held.images, self._members()), answers)
        write_reference(self.store, self.model, 1, kept)

    def export_trained(self, folder: Path) -> None:
        """Export it, compare the file with PyTorch on the holdout, and store it."""
        card, path = self._trained.card, folder / "model.onnx"
        export(self._trained.module, card, path)
        reference = Reference.of(
            self._trained.module, card, SnapshotFiles(self._holdout.images, self._members())
        )
        report, _ = reference.report(
            Artifact.ONNX_FP32,
            path.name,
            open_onnx(path, card).predict,
            bound_of(Artifact.ONNX_FP32, 0.01),
        )
        assert report.usable, report.shortfalls
        self._store(path, report)

    def _members(self) -> pd.DataFrame:
        texts = [annotating(TASK).parse({"labels": [*its]}).text for its in self._holdout.labels]
        return pd.DataFrame({"label": texts, "split": HOLDOUT})

    def _store(self, path: Path, report: ArtifactReport) -> None:
        card = self._trained.card
        files = {path.name: path.read_bytes(), CARD_FILE: card.model_dump_json().encode()}
        exported = ExportedModel(
            model_name=self.model,
            model_version=1,
            snapshot_id=card.snapshot_id,
            object_prefix=export_prefix(self.model, 1),
            sha256_by_file=sha256_by_file(files),
            artifacts=(report,),
        )
        files[EXPORT_FILE] = exported.model_dump_json().encode()
        write_folder(self.store, exported.object_prefix, files)


@pytest.fixture(scope="module")
def released(stack: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Released]:
    pictures = read_digits()
    learned, rest = pictures.part(0, TRAINED_ON), pictures.part(TRAINED_ON, None)
    trained = train_on(learned, STEPS, snapshot_id=f"ds-digits-{uuid4().hex[:8]}")
    digits = Digits(stack, trained, rest.part(0, JUDGED_ON))
    digits.judge_trained()
    digits.export_trained(tmp_path_factory.mktemp("digits"))
    digits.releaser.promote(digits.model, 1, ORDER)
    unseen = rest.part(JUDGED_ON, JUDGED_ON + UNSEEN)
    yield Released(digits, trained, unseen, rest.part(0, JUDGED_ON))
    digits.unload()


def test_triton_names_all_that_an_unseen_digit_shows(released: Released) -> None:
    """It answers as the trained network does, by the thresholds of the card."""
    unseen, card = released.unseen, released.trained.card
    images = [encode_frame(image) for image in unseen.images]
    answers = released.serving.triton.predict(released.serving.model, images, task=TASK)
    expected = serving(TASK).decode(run(released.trained.module, unseen.images, card), card)
    assert [each.answer.labels for each in answers] == [each.labels for each in expected]
    confidences = [each.answer.confidence for each in answers]
    np.testing.assert_allclose(confidences, [e.confidence for e in expected], atol=1e-4)
    is_wrong = serving(TASK).is_wrong
    wrong = [is_wrong(a.answer, said) for a, said in zip(answers, unseen.labels, strict=True)]
    assert np.mean(wrong) < 0.25
    assert {len(each.answer.labels) for each in answers} == {0, 1, 2, 3}
    assert answers[0].model_version == 1


def in_the_catalog(released: Released, answers: Sequence[ServedAnswer]) -> None:
    """Wait for the predictions of a model that the stack does not declare, and read them as it."""
    keys = [answer.prediction_id for answer in answers]
    query = select(PredictionRow).where(PredictionRow.prediction_id.in_(keys))

    def look() -> bool:
        with Catalog().begin() as session:
            return len(session.scalars(query).all()) == len(keys)

    eventually("predictions in the catalog", look, timeout_s=120)
    with Catalog().begin() as session:
        for row in session.scalars(query):
            row.answer = released.declared.answer_of(row.label, row.probabilities, CLASSES)


def say(released: Released, answers: Sequence[ServedAnswer], labels: Sequence[Labels]) -> None:
    """Give predictions labels, as the gateway takes them."""
    task = annotating(TASK)
    with Catalog().begin() as session:
        for answer, said in zip(answers, labels, strict=True):
            payload = task.payload(task.parse({"labels": [*said]}))
            place = Place(released.serving.model, prediction_id=answer.prediction_id)
            annotate(session, place, payload, "ann", AUDIT)


def monitor(released: Released) -> tuple[PerformanceWindow, DriftWindow, Decision]:
    """Do what the job `monitor` does of this model."""
    names = ("model_performance", "data_drift", "retrain_decision")
    assets = [asset_of(name, released.declared) for name in names]
    resources = {"catalog": Catalog(), "object_store": released.serving.store}
    assert dg.materialize(assets, resources=resources).success
    with Catalog().begin() as session:
        release = champion(session, released.serving.model)
        assert release is not None
        performance = newest_window(session, release, PerformanceWindow)
        drift = newest_window(session, release, DriftWindow)
        decision = newest_decision(session, released.serving.model)
    assert performance is not None
    assert drift is not None
    assert decision is not None
    return performance, drift, decision


def test_answers_of_sets_are_monitored_by_what_their_task_calls_wrong(released: Released) -> None:
    unseen = released.unseen
    images = [encode_frame(image) for image in unseen.images]
    answers = released.serving.triton.predict(released.serving.model, images, task=TASK)
    in_the_catalog(released, answers)
    half = UNSEEN // 2
    is_wrong = [
        set(answer.answer.labels) != set(said)
        for answer, said in zip(answers, unseen.labels, strict=True)
    ]
    # Labels of a set may come in any order.
    say(released, answers[:half], [said[::-1] for said in unseen.labels[:half]])
    performance, drift, decision = monitor(released)
    assert (performance.labelled, performance.unknown_labels) == (half, 0)
    assert performance.correct == half - sum(is_wrong[:half])
    assert performance.estimated_accuracy == pytest.approx(1 - np.mean(is_wrong), abs=0.15)
    scored = {row["class"] for row in performance.scores if row["slice"] == "all"}
    assert scored >= {"", *CLASSES}
    assert {row["kind"] for row in drift.results} >= {EMBEDDING, CLASS_SHARE}
    assert decision.evidence["errors"] == sum(is_wrong[:half])
    assert decision.evidence["alarm_at"] is None

    # A set that lacks one label, or has one too many, makes an answer wrong.
    near = [{*answer.answer.labels} ^ {CLASSES[0]} for answer in answers[half:]]
    say(released, answers[half:], [tuple(labels) for labels in near])
    performance, _, decision = monitor(released)
    assert performance.correct == half - sum(is_wrong[:half])
    assert half < decision.evidence["alarm_at"] <= UNSEEN
    assert "raised the alarm" in decision.reason
