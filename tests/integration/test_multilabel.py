"""A multi-label model of scanned digits: trained, judged, exported, released, asked by gRPC.

The labels are made from the digits: whether one is even, is above four, has a loop.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import numpy as np
import pandas as pd
import pytest

from tests.integration.released_models import ORDER, Serving
from tests.tasks.multilabel.digits import CLASSES, TASK, Pictures, read_digits, train_on
from visionops_assets.catalog.releases import add_verdict
from visionops_assets.contracts import Artifact, ArtifactReport, Candidate, ExportedModel
from visionops_assets.releasing.exports import EXPORT_FILE, export_prefix
from visionops_assets.releasing.loading import CARD_FILE
from visionops_assets.releasing.manifest import sha256_by_file, write_folder
from visionops_assets.resources.snapshot_files import (
    HOLDOUT,
    MEMBER_COLUMNS,
    SnapshotFiles,
    write_snapshot,
)
from visionops_assets.settings import Settings
from visionops_assets.stages.evaluation.gate import judge
from visionops_assets.stages.evaluation.rules import GateRule, HoldoutAnswers
from visionops_assets.stages.serving.export import Reference, bound_of
from visionops_assets.tasks.registry import annotating, judging, serving
from visionops_assets.tasks.running import export, open_onnx, run
from visionops_assets.vision.preprocessing import encode_frame
from visionops_assets.vision.training import TrainedModel

STEPS = 200
TRAINED_ON, JUDGED_ON = 1_000, 300


@dataclass
class Released:
    """The trained model, its pictures, and where it serves."""

    serving: Serving
    trained: TrainedModel
    unseen: Pictures


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
        members = pd.DataFrame(rows, columns=MEMBER_COLUMNS)
        files = SnapshotFiles(self._holdout.images, members)
        write_snapshot(self.store, self._trained.card.snapshot_id, files)

    def judge_trained(self) -> None:
        """Let the gate judge it by the holdout."""
        card, held = self._trained.card, self._holdout
        answers = serving(TASK).decode(run(self._trained.module, held.images, card), card)
        found = judging(TASK).evaluate(answers, held.labels, CLASSES)
        candidate = Candidate(
            model_name=self.model, model_version=1, mlflow_run_id="r", snapshot_id=card.snapshot_id
        )
        groups = HoldoutAnswers(found, np.array(held.groups))
        verdict = judge(candidate, groups, None, GateRule(score="micro_f1", min_score=0.8))
        assert verdict.passed, verdict.reason
        assert verdict.reason.startswith("Passed: micro F1 is ")
        with self.catalog.begin() as session:
            add_verdict(session, verdict, "test")

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
    yield Released(digits, trained, rest.part(JUDGED_ON, JUDGED_ON + 100))
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
