"""`model_evaluation`: the gate's verdict on a candidate."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import dagster as dg
import numpy as np

from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.frame_places import FramePlaces
from visionops_assets.catalog.next_steps import next_step
from visionops_assets.catalog.releases import add_verdict, champion
from visionops_assets.catalog.standing import model_standing
from visionops_assets.contracts import Candidate, GateVerdict
from visionops_assets.models import ModelDeclaration, model_named
from visionops_assets.monitoring.reference_files import (
    Reference,
    choose_frames,
    write_reference,
)
from visionops_assets.resources.columns import fields_of, shown
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.resources.sentences import fail_in_words
from visionops_assets.resources.snapshot_files import HOLDOUT
from visionops_assets.resources.snapshot_reading import (
    SnapshotFiles,
    of_side,
    on_whole_frames,
)
from visionops_assets.resources.tracking import Tracking
from visionops_assets.settings import Settings, load_settings
from visionops_assets.stages.code_versions import code_version
from visionops_assets.stages.evaluation.answering import (
    Answers,
    answer,
    champion_answers_of,
    holdout_of,
)
from visionops_assets.stages.evaluation.gate import judge
from visionops_assets.stages.evaluation.rules import ChampionAnswers, GateRule, HoldoutAnswers
from visionops_assets.stages.of_model import input_of, key_of
from visionops_assets.stages.partitions import OWNERS
from visionops_assets.stages.presentation import bars, picture, table, trace_command
from visionops_assets.tasks.registry import judging
from visionops_assets.vision.monitoring.quality import measure_quality
from visionops_assets.vision.plots import montage

FIELDS = fields_of(
    GateVerdict,
    {
        "model_name": "Name of the model.",
        "model_version": "Version that was judged.",
        "champion_version": "Version it was compared with; none before the first release.",
        "snapshot_id": "Snapshot whose holdout was used.",
        "holdout_size": "Frames of the holdout.",
        "holdout_groups": "Groups of the holdout; intervals count groups.",
        "accuracy": "Share of the holdout that the version got right.",
        "accuracy_low": "Lower limit of its 95 % interval.",
        "accuracy_high": "Upper limit of its 95 % interval.",
        "champion_accuracy": "Accuracy of the champion on the same frames.",
        "trivial_accuracy": "Accuracy of the best answer that looks at no image.",
        "score_name": "Score that judged; empty where that is the accuracy.",
        "score": "That score of the holdout.",
        "score_low": "Lower limit of its 95 % interval.",
        "score_high": "Upper limit of its 95 % interval.",
        "trivial_score": "That score of the best answer that looks at no image.",
        "champion_score": "That score of the champion on the same frames.",
        "state": "`passed`, `refused` or `undecided`.",
        "passed": "Whether the version may be released.",
        "groups_needed": "Further holdout groups that would decide; only if undecided.",
        "reason": "The verdict in words.",
    },
)
MODEL_TAG = "visionops/model"
GATE_TAG = "visionops/gate"
"""Tags of the run: its model and the verdict, so that the list of runs shows them."""
MISTAKES_SHOWN = 24


def rule_of(model: ModelDeclaration) -> GateRule:
    """Return the limits that are declared."""
    return GateRule(
        score=model.gate.score or "",
        min_margin=model.gate.min_margin,
        max_regression=model.gate.max_regression,
        min_score=model.gate.min_score,
        min_accuracy=model.gate.min_accuracy,
        holdout_percent=model.snapshots.holdout_percent,
    )


def evaluation_of(model: ModelDeclaration) -> dg.AssetsDefinition:
    """Define the verdicts on a model's candidates."""

    @dg.asset(
        key=key_of(model, "model_evaluation"),
        ins=input_of(model, "trained_model"),
        group_name="model",
        io_manager_key="records",
        metadata=shown(FIELDS),
        code_version=code_version("evaluation", rule_of(model)),
        kinds={"pytorch", "mlflow", "postgres"},
        owners=OWNERS,
    )
    @fail_in_words
    def model_evaluation(
        context: dg.AssetExecutionContext,
        trained_model: Candidate,
        catalog: dg.ResourceParam[Catalog],
        object_store: dg.ResourceParam[ObjectStore],
        tracking: dg.ResourceParam[Tracking],
    ) -> dg.MaterializeResult[GateVerdict]:
        """Verdict of the gate: candidate and champion on the same frozen holdout.

        It is `passed`, `refused` or, if the holdout is too small to tell, `undecided`. The holdout
        is the snapshot's, without media that the champion was trained on. The verdict is a row of
        the catalog, which a release reads again. The candidate's answers are kept under
        `models/<name>/<version>/reference.npz`; monitoring compares with them.
        """
        return _judge(context, model, trained_model, catalog, object_store, tracking)

    return model_evaluation


@dataclass(frozen=True)
class _Asked:
    """A holdout, and the answers of the candidate and the champion to it."""

    holdout: SnapshotFiles
    answers: Answers
    of_champion: ChampionAnswers | None


def _judge(
    context: dg.AssetExecutionContext,
    model: ModelDeclaration,
    candidate: Candidate,
    catalog: Catalog,
    object_store: ObjectStore,
    tracking: Tracking,
) -> dg.MaterializeResult[GateVerdict]:
    settings = load_settings()
    with catalog.begin() as session:
        current = champion(session, candidate.model_name)

    def ask(snapshot: SnapshotFiles) -> _Asked:
        holdout = holdout_of(object_store, candidate, current, snapshot)
        answers = answer(tracking, candidate.mlflow_run_id, holdout)
        return _Asked(holdout, answers, champion_answers_of(tracking, current, candidate, holdout))

    asked = on_whole_frames(
        object_store,
        candidate.snapshot_id,
        FramePlaces(catalog),
        ask,
        context.log.warning,
        of_side(HOLDOUT),
    )
    holdout, answers, champion_answers = asked.holdout, asked.answers, asked.of_champion
    verdict = judge(
        candidate,
        HoldoutAnswers(answers.evaluation, holdout.members["group_id"].to_numpy(dtype=np.str_)),
        champion_answers,
        rule_of(model),
    )
    name, version = verdict.model_name, verdict.model_version
    context.log.info("Version %d: %s", version, verdict.reason)
    # Before the verdict, after which the version may be released and monitored.
    reference_key = write_reference(object_store, name, version, reference_of(holdout, answers))
    with catalog.begin() as session:
        add_verdict(session, verdict, context.run_id)
    tags = {"gate": verdict.state.value, "holdout_accuracy": str(verdict.accuracy)}
    tracking.tag_version(name, version, tags)
    tracking.tell_verdict(name, version, _told(settings, verdict, context.run_id))
    said = {MODEL_TAG: f"{name} {version}", GATE_TAG: verdict.state.value}
    context.instance.add_run_tags(context.run.run_id, said)
    return dg.MaterializeResult(
        value=verdict,
        data_version=dg.DataVersion(f"{name} {version} {verdict.state.value}"),
        metadata={
            "holdout_accuracy": verdict.accuracy,
            "accuracy_95": f"{verdict.accuracy_low:.4f} .. {verdict.accuracy_high:.4f}",
            "holdout_frames": verdict.holdout_size,
            "holdout_groups": verdict.holdout_groups,
            "trivial_accuracy": verdict.trivial_accuracy,
            **_scored(verdict),
            "model_version": version,
            "trace": trace_command("model", f"{name}:{version}"),
            "gate": verdict.state.value,
            "verdict": verdict.reason,
            "mlflow": dg.MetadataValue.url(tracking.version_url(name, version)),
            "reference": dg.MetadataValue.path(f"s3://{settings.s3_bucket}/{reference_key}"),
            **_pictures(holdout, answers),
        },
    )


def _scored(verdict: GateVerdict) -> dict[str, Any]:
    """Return the score that judged, where that is not the accuracy."""
    if verdict.score_name is None:
        return {}
    return {
        f"holdout_{verdict.score_name}": verdict.score,
        f"{verdict.score_name}_95": f"{verdict.score_low:.4f} .. {verdict.score_high:.4f}",
    }


def _told(settings: Settings, verdict: GateVerdict, dagster_run_id: str) -> str:
    """Put a verdict into the Markdown of a version's description."""
    run = f"[Dagster run {dagster_run_id[:8]}]({settings.dagster_url}/runs/{dagster_run_id})"
    return (
        f"{verdict.reason}\n\nHoldout accuracy {verdict.accuracy:.4f} "
        f"({verdict.accuracy_low:.4f} to {verdict.accuracy_high:.4f} at 95 %), by {run}."
    )


def gate_of(evaluation: dg.AssetsDefinition) -> dg.AssetChecksDefinition:
    """Define the check that shows the verdicts of an evaluation."""

    @dg.asset_check(asset=evaluation)
    @fail_in_words
    def gate(
        model_evaluation: GateVerdict, catalog: dg.ResourceParam[Catalog]
    ) -> dg.AssetCheckResult:
        """Say whether the candidate may be released: good enough, and no worse than the champion.

        A failed check is an answer and does not stop the run: it says why and what to do next, and
        `exported_model` exports nothing.
        """
        return _shown(model_evaluation, catalog)

    return gate


def _shown(verdict: GateVerdict, catalog: Catalog) -> dg.AssetCheckResult:
    said = verdict.reason
    if not verdict.passed:
        said = f"{said} {_next_step(catalog, verdict)}"
    return dg.AssetCheckResult(
        passed=verdict.passed,
        description=said,
        metadata={
            "state": verdict.state.value,
            "accuracy": verdict.accuracy,
            "accuracy_low": verdict.accuracy_low,
            "groups_needed": verdict.groups_needed,
            "champion_version": verdict.champion_version,
        },
    )


def _next_step(catalog: Catalog, verdict: GateVerdict) -> str:
    """Say what to do about a version, as `visionops models show` does."""
    with catalog.begin() as session:
        standing = model_standing(session, model_named(verdict.model_name))
    judged = standing.find(verdict.model_version)
    return next_step(judged, standing) if judged else "Its verdict is not in the catalog."


def reference_of(holdout: SnapshotFiles, answers: Answers) -> Reference:
    """Keep labels, answers and image quality of the holdout; monitoring compares with them."""
    chosen = choose_frames(len(holdout.images))
    return Reference(
        classes=np.array(answers.classes, dtype=np.str_),
        labels=holdout.members["label"].to_numpy(dtype=np.str_)[chosen],
        answered=np.array(answers.texts, np.str_)[chosen],
        confidence=np.array([answer.confidence for answer in answers.given], np.float32)[chosen],
        probabilities=answers.probabilities[chosen],
        embeddings=answers.embeddings[chosen],
        quality=np.array([measure_quality(holdout.images[i]) for i in chosen], dtype=np.float32),
    )


def _pictures(holdout: SnapshotFiles, answers: Answers) -> dict[str, Any]:
    task, compared = judging(answers.task), (answers.given, answers.truth, answers.classes)
    caption, errors = task.draw_errors(*compared)
    metadata: dict[str, Any] = {
        caption.replace(" ", "_"): picture(errors, caption),
        "per_class": table(task.by_class(*compared).round(4).reset_index()),
    }
    wrong = np.flatnonzero(~answers.evaluation.correct)
    if len(wrong):
        texts = answers.texts
        titles = [f"{holdout.members['label'][i]} as {texts[i]}" for i in wrong]
        commonest = dict(Counter(titles).most_common(MISTAKES_SHOWN))
        metadata["commonest_mistakes"] = bars(commonest, "label as answer", "frames")
        shown = list(holdout.images[wrong[:MISTAKES_SHOWN]])
        metadata["mistakes"] = picture(montage(shown, titles[:MISTAKES_SHOWN]), "mistakes")
    return metadata
