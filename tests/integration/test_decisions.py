"""What the arbiter sets in motion, on a real catalog and Triton: batches, retraining, rollbacks.

There is no Dagster in this stack: assets and sensors run in this process, one step at a time.
"""

import csv
import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import dagster as dg
import pytest
from dagster._core.test_utils import create_run_for_test
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from tests.declared import use
from tests.defined import asset_of, sensor_of, step_of
from tests.integration.decided_rows import label_frames, measured, predict, snapshot_row
from tests.integration.released_models import CARD, IMAGE, ORDER, Serving, decided_model
from tests.stacks import QUIET_MODEL, visionops
from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.datasets import (
    add_snapshot,
    count_by_label,
    label_backlog,
    labelled_frames,
    now,
)
from visionops_assets.catalog.decisions import (
    Retraining,
    add_decision,
    count_retrain_decisions,
    decision_answered_by,
    newest_decision,
    newest_retraining,
)
from visionops_assets.catalog.labelling import batches
from visionops_assets.catalog.labelling_items import batch_items
from visionops_assets.catalog.releases import add_verdict, champion
from visionops_assets.catalog.rollouts import ArmEvidence, active_rollout, put_evidence
from visionops_assets.catalog.schema import (
    Decision,
    Frame,
    Release,
    RolloutRow,
    Snapshot,
)
from visionops_assets.contracts import (
    Arm,
    ExportedModel,
    GateVerdict,
    Outcome,
    Role,
)
from visionops_assets.errors import InvalidRequestError
from visionops_assets.models import default_model
from visionops_assets.releasing.audit import ARBITER
from visionops_assets.releasing.decided import roll_back_as_decided
from visionops_assets.releasing.exports import export_prefix
from visionops_assets.releasing.judging import RolloutRule
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.resources.tracking import Tracking
from visionops_assets.settings import Settings, load_settings

MAX_S = 7_200.0


@pytest.fixture
def serving(quiet_stack: Settings) -> Iterator[Serving]:
    with decided_model(quiet_stack) as serving:
        yield serving


def decide(serving: Serving) -> Decision:
    """Run the asset, and return the row that it added."""
    result = dg.materialize([asset_of("retrain_decision")], resources={"catalog": serving.catalog})
    assert result.success
    (materialization,) = result.asset_materializations_for_node(step_of("retrain_decision"))
    with serving.catalog.begin() as session:
        decision = newest_decision(session, serving.model)
    assert decision is not None
    assert decision.dagster_run_id == result.run_id
    assert materialization.metadata["reason"].value == decision.reason
    assert materialization.metadata["outcome"].value == decision.outcome
    return decision


def test_without_labels_it_waits_and_each_look_is_a_row_that_never_changes(
    serving: Serving,
) -> None:
    first = decide(serving)
    assert (first.outcome, first.model_version) == (Outcome.WAIT, 1)
    assert first.evidence["labels"] == 0
    assert first.evidence["log_evidence"] is None
    predict(serving, 30, right=True)
    second = decide(serving)
    assert second.decision_id > first.decision_id
    assert "of 30 labels" in second.reason
    with pytest.raises(Exception, match=r"append-only|never|refuse"):
        _change(first)


def _change(decision: Decision) -> None:
    with Catalog().begin() as session:
        row = session.get_one(Decision, decision.decision_id)
        row.reason = "another"


def test_a_bad_release_is_rolled_back_once_and_by_the_arbiter(serving: Serving) -> None:
    predict(serving, 30, right=True)
    serving.release(2)
    predict(serving, 60, right=False)
    assert roll_back_as_decided(serving.controller, serving.model) == "No rollback was decided."
    decision = decide(serving)
    assert decision.outcome == Outcome.ROLL_BACK
    assert "version 1 before it raised none in 30 labels" in decision.reason
    # Decided again before anything was done: still one rollback.
    assert decide(serving).outcome == Outcome.ROLL_BACK
    assert "back to 1" in roll_back_as_decided(serving.controller, serving.model)
    assert serving.served() == [1]
    assert "is over" in roll_back_as_decided(serving.controller, serving.model)
    assert serving.actions() == ["promoted 1", "promoted 2", "rolled_back 1"]
    event = serving.audit()[-1]
    assert event.actor == ARBITER
    assert event.reason == decision.reason
    # The version that serves again is judged by what it does now, and is not turned back itself.
    assert decide(serving).outcome == Outcome.WAIT
    predict(serving, 60, right=False)
    alarmed = decide(serving)
    assert alarmed.outcome == Outcome.WAIT
    assert "0 newly labelled frames, and 3 are needed" in alarmed.reason


def data_version_decided(serving: Serving) -> str:
    """Run the asset, and return the version by which Dagster tells what is out of date."""
    result = dg.materialize([asset_of("retrain_decision")], resources={"catalog": serving.catalog})
    (materialization,) = result.asset_materializations_for_node(step_of("retrain_decision"))
    return (materialization.tags or {})["dagster/data_version"]


def test_to_wait_puts_nothing_downstream_out_of_date(serving: Serving) -> None:
    predict(serving, 30, right=True)
    before = data_version_decided(serving)
    assert data_version_decided(serving) == before
    serving.release(2)
    predict(serving, 60, right=False)
    rolled_back = data_version_decided(serving)
    assert rolled_back != before
    roll_back_as_decided(serving.controller, serving.model)
    assert data_version_decided(serving) == rolled_back


def test_a_rollback_is_not_done_to_a_release_that_it_was_not_meant_for(serving: Serving) -> None:
    predict(serving, 30, right=True)
    serving.release(2)
    predict(serving, 60, right=False)
    decision = decide(serving)
    assert decision.outcome == Outcome.ROLL_BACK
    serving.release(3)
    assert "is over" in roll_back_as_decided(serving.controller, serving.model)
    assert serving.served() == [3]
    # Released between the look and the lock.
    with pytest.raises(InvalidRequestError, match=r"Version 3 .* became champion meanwhile"):
        serving.releaser.roll_back(serving.model, ORDER, 1, of_release=decision.release_id)
    assert serving.served() == [3]


def test_a_doubt_asks_for_labels_which_people_give_by_the_command_line(
    serving: Serving, tmp_path: Path
) -> None:
    key = f"predictions/test/{uuid4()}"
    ObjectStore().put(key, IMAGE)
    seen = predict(serving, 25, right=None, image_key=key)
    predict(serving, 10, right=None)
    predict(serving, 5, right=True)
    measured(serving, 0.5)
    asking = decide(serving)
    assert asking.outcome == Outcome.ASK_FOR_LABELS
    with serving.catalog.begin() as session:
        (batch,) = batches(session, model_name=serving.model)
        items = batch_items(session, batch.batch_id)
    assert (batch.decision_id, batch.items, batch.labelled) == (asking.decision_id, 20, 0)
    chosen = {item.prediction_id for item in items}
    assert chosen <= set(seen)
    waiting = decide(serving)
    assert waiting.outcome == Outcome.WAIT
    assert f"batch {batch.batch_id} has 0 of 20" in waiting.reason

    listed = visionops("labelling-batches", "ls", "--json").stdout.splitlines()
    opened = [row for row in map(json.loads, listed) if row["closed_at"] is None]
    assert batch.batch_id in {row["batch_id"] for row in opened}
    folder = tmp_path / "batch"
    shown = visionops("labelling-batches", "show", str(batch.batch_id), "--out", str(folder))
    assert shown.returncode == 0, shown.stderr
    assert len(list(folder.glob("*.png"))) == 20
    assert next(folder.glob("*.png")).read_bytes() == IMAGE
    file = folder / "labels.csv"
    rows = list(csv.DictReader(file.read_text().splitlines()))
    assert {row["answer"] for row in rows} == {"a"}
    with file.open("w", newline="") as out:
        writer = csv.DictWriter(out, list(rows[0]))
        writer.writeheader()
        # Two of the images nobody can name.
        writer.writerows(row | {"label": "a"} for row in rows[:18])
        writer.writerows(rows[18:])
    applied = visionops("labelling-batches", "apply", str(file))
    assert (applied.returncode, applied.stdout) == (0, "Sent 18 labels.\n"), applied.stderr
    with serving.catalog.begin() as session:
        assert batches(session, model_name=serving.model)[0].labelled == 18
    measured(serving, 0.95)
    assert decide(serving).outcome == Outcome.WAIT
    with serving.catalog.begin() as session:
        assert batches(session, model_name=serving.model, only_open=True) == []
    about = ("decisions", "ls", "--model", serving.model)
    (line,) = visionops(*about, "--outcome", "ask_for_labels", "--json").stdout.splitlines()
    assert json.loads(line)["decision_id"] == asking.decision_id
    table = visionops(*about).stdout
    assert table.count("wait") == 2
    assert "By confidence its accuracy is 0.500" in table


def test_another_champion_or_its_age_closes_a_batch(
    serving: Serving, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    predict(serving, 10, right=None)
    measured(serving, 0.5)
    assert decide(serving).outcome == Outcome.ASK_FOR_LABELS
    with monkeypatch.context() as patch:
        use(patch, tmp_path, serving.model, labelling={"batch_size": 20, "batch_max_age_s": 0.01})
        # The old one is closed, and since the doubt is still there, another is opened.
        assert decide(serving).outcome == Outcome.ASK_FOR_LABELS
    load_settings.cache_clear()
    serving.release(2)
    assert decide(serving).outcome == Outcome.WAIT
    with serving.catalog.begin() as session:
        both = batches(session, model_name=serving.model)
    assert [batch.items for batch in both] == [10, 10]
    assert all(batch.closed_at for batch in both)


def requests_of(sensor: str, *waiting: str) -> list[dg.RunRequest]:
    """Evaluate a sensor of the model once, on an instance that has no runs but those that wait."""
    with dg.DagsterInstance.ephemeral() as instance:
        for job in waiting:
            create_run_for_test(
                instance, job_name=step_of(job), status=dg.DagsterRunStatus.NOT_STARTED
            )
        context = dg.build_sensor_context(instance=instance, resources={"catalog": Catalog()})
        return list(sensor_of(sensor).evaluate_tick(context).run_requests or [])


def retraining_of(serving: Serving) -> Retraining:
    with serving.catalog.begin() as session:
        found = newest_retraining(session, serving.model, MAX_S)
    assert found is not None
    return found


def test_frames_that_the_alarm_waits_for_are_left_to_the_arbiter(
    serving: Serving, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # Frames of a size that no other test has, whose labels have always paused.
    sections = QUIET_MODEL | {"frames": {"size_px": 48}, "snapshots": {"pause_s": 0}}
    use(monkeypatch, tmp_path, serving.model, **sections)
    label_frames(3)
    with serving.catalog.begin() as session:
        session.add(snapshot_row(now(session)))
    predict(serving, 60, right=False)
    waiting = decide(serving)
    assert (waiting.outcome, waiting.evidence["guards"]["new_labels"]) == (Outcome.WAIT, False)

    label_frames(3)
    assert requests_of("new_labels") == []
    decision = decide(serving)
    assert decision.outcome == Outcome.RETRAIN
    (cut,) = requests_of("new_labels")
    assert f"decision-{decision.decision_id}" in str(cut.run_key)


def test_a_retraining_is_cut_trained_tried_and_promoted(serving: Serving) -> None:
    predict(serving, 60, right=False)
    label_frames(3)
    assert requests_of("new_labels") == []
    decision = decide(serving)
    assert decision.outcome == Outcome.RETRAIN
    assert "label" in decision.reason
    again = decide(serving)
    assert again.outcome == Outcome.WAIT
    assert "a retraining is under way: a snapshot is awaited" in again.reason

    (cut,) = requests_of("new_labels")
    assert cut.run_key
    assert f"decision-{decision.decision_id}" in cut.run_key
    assert len(requests_of("new_labels", "train_and_release")) == 1
    assert requests_of("new_labels", "build_dataset") == []
    with serving.catalog.begin() as session:
        snapshot = snapshot_row(now(session))
        session.add(snapshot)
    assert requests_of("new_labels") == []
    (training,) = requests_of("new_snapshot")
    assert training.tags["visionops/decision_id"] == str(decision.decision_id)
    config = training.run_config["ops"][step_of("model_release")]["config"]
    assert config == {"canary_percent": 20.0}

    serving.offer(2)
    with serving.catalog.begin() as session:
        add_verdict(session, _verdict(serving, snapshot.snapshot_id, passed=True), "test")
    for _ in range(2):
        released = release(serving, 2, config)
        assert released["model_version"] == 1
        assert released["canary_version"] == 2
    assert "was tried before" in released["outcome"]
    assert serving.served() == [1]
    with serving.catalog.begin() as session:
        rollout = active_rollout(session, serving.model)
    assert rollout is not None
    assert (rollout.share_percent, rollout.min_agreement, rollout.role) == (20, 0, Role.CANARY)
    assert "is trained or tried" in retraining_of(serving).stage
    assert "canary of version 2 is being tried" in decide(serving).reason
    assert requests_of("new_snapshot") == []  # Else another model would be released meanwhile.

    # It agrees with the champion on nothing, which is why it was trained.
    seen = {arm: ArmEvidence() for arm in Arm}
    for _ in range(60):
        seen[Arm.CANDIDATE].observe(8.0)
        seen[Arm.CANDIDATE].compare(agreed=False)
        seen[Arm.CHAMPION].observe(8.0)
    with serving.catalog.begin() as session:
        put_evidence(session, rollout.rollout_id, "gateway", seen)
    rule = RolloutRule(50, 0.01, 1.5, 0.9, 3_600)
    assert "Promoted canary version 2" in serving.rollouts.apply_rule(serving.model, rule)
    assert serving.served() == [2]
    assert retraining_of(serving).came_to == "version 2 was released"
    assert decide(serving).outcome == Outcome.WAIT


def release(serving: Serving, version: int, config: dict[str, Any]) -> dict[str, Any]:
    """Run the asset as a run of that configuration does, and return its metadata."""
    exported = ExportedModel(
        model_name=serving.model,
        model_version=version,
        snapshot_id=CARD.snapshot_id,
        object_prefix=export_prefix(serving.model, version),
        sha256_by_file={},
    )

    @dg.asset(key=[serving.model, "exported_model"], io_manager_key="records")
    def given() -> ExportedModel:
        return exported

    result = dg.materialize(
        [given, asset_of("model_release")],
        run_config={"ops": {step_of("model_release"): {"config": config}}},
        resources={
            "catalog": serving.catalog,
            "object_store": serving.store,
            "triton": serving.triton,
            "tracking": Tracking(),
            "records": dg.mem_io_manager,
        },
    )
    (materialization,) = result.asset_materializations_for_node(step_of("model_release"))
    return {name: value.value for name, value in materialization.metadata.items()}


def _verdict(serving: Serving, snapshot_id: str, *, passed: bool) -> GateVerdict:
    return GateVerdict(
        model_name=serving.model,
        model_version=2,
        champion_version=1,
        snapshot_id=snapshot_id,
        holdout_size=8,
        accuracy=1,
        accuracy_low=1,
        accuracy_high=1,
        champion_accuracy=None,
        passed=passed,
        reason="A test.",
    )


@pytest.fixture
def uncommitted(serving: Serving) -> Iterator[Session]:
    """A transaction that nobody else will ever see."""
    with Session(serving.catalog.engine) as session:
        yield session
        session.rollback()


@pytest.fixture
def retrain(serving: Serving, uncommitted: Session) -> Decision:
    """A decision to retrain in the place of version 1, made just now."""
    current = champion(uncommitted, serving.model)
    assert current is not None
    return add_decision(
        uncommitted,
        current,
        outcome=Outcome.RETRAIN,
        reason="A test.",
        evidence={},
        dagster_run_id="test",
    )


def test_frames_that_a_snapshot_left_out_are_no_news(uncommitted: Session) -> None:
    label_frames(2)
    model = default_model()
    frames = select(func.count(Frame.frame_id)).where(Frame.spec_id == model.frames.spec_id)
    labelled = uncommitted.scalar(frames) or 0
    snapshot = snapshot_row(now(uncommitted) + timedelta(minutes=1))
    snapshot.left_out_frames = labelled - 3  # It has 3 frames.
    assert add_snapshot(uncommitted, snapshot)
    assert label_backlog(uncommitted, model).new_frames == 0
    rows = labelled_frames(uncommitted, model, now(uncommitted))
    assert count_by_label(uncommitted, model) == Counter(row["label"] for row in rows)
    label_frames(1)
    assert label_backlog(uncommitted, model).new_frames == 1

    # Cut again, nothing came of it: equal content has an equal id, and the frame is no news now.
    again = snapshot_row(snapshot.watermark + timedelta(minutes=1))
    again.snapshot_id, again.left_out_frames = snapshot.snapshot_id, labelled - 2
    assert not add_snapshot(uncommitted, again)
    found = label_backlog(uncommitted, model)
    assert (found.new_frames, found.watermark) == (0, again.watermark)
    assert not add_snapshot(uncommitted, snapshot)
    assert label_backlog(uncommitted, model).watermark == again.watermark


def test_the_snapshot_of_the_champion_is_not_trained_on_again(serving: Serving) -> None:
    with serving.catalog.begin() as session:
        current = champion(session, serving.model)
        assert current is not None
        of_champion, newer = (snapshot_row(now(session) + timedelta(minutes=n)) for n in (1, 2))
        of_champion.snapshot_id = current.snapshot_id
        session.add(of_champion)
    try:
        assert requests_of("new_snapshot") == []
        with serving.catalog.begin() as session:
            session.add(newer)
        assert len(requests_of("new_snapshot")) == 1
    finally:
        with serving.catalog.begin() as session:
            ids = [of_champion.snapshot_id, newer.snapshot_id]
            session.execute(delete(Snapshot).where(Snapshot.snapshot_id.in_(ids)))


def came_to(session: Session, serving: Serving, max_s: float = MAX_S) -> str | None:
    found = newest_retraining(session, serving.model, max_s)
    assert found is not None
    return found.came_to


def cut(session: Session, decision: Decision, after_s: float) -> Snapshot:
    snapshot = snapshot_row(decision.decided_at + timedelta(seconds=after_s))
    session.add(snapshot)
    session.flush()
    return snapshot


def test_only_the_first_snapshot_after_a_decision_answers_it(
    serving: Serving, uncommitted: Session, retrain: Decision
) -> None:
    before, first, second = (cut(uncommitted, retrain, after_s) for after_s in (-1, 1, 2))

    def answered(snapshot: Snapshot) -> Decision | None:
        return decision_answered_by(uncommitted, serving.model, snapshot)

    assert answered(before) is None
    assert answered(first) is retrain
    assert answered(second) is None
    assert decision_answered_by(uncommitted, "another model", first) is None


def test_a_refusal_ends_a_retraining(
    serving: Serving, uncommitted: Session, retrain: Decision
) -> None:
    snapshot = cut(uncommitted, retrain, 1)
    assert came_to(uncommitted, serving) is None
    add_verdict(uncommitted, _verdict(serving, "ds-another", passed=False), "test")
    assert came_to(uncommitted, serving) is None
    add_verdict(uncommitted, _verdict(serving, snapshot.snapshot_id, passed=False), "test")
    assert came_to(uncommitted, serving) == "the gate refused version 2"


def test_a_rollout_without_a_release_ends_a_retraining(
    serving: Serving, uncommitted: Session, retrain: Decision
) -> None:
    snapshot = cut(uncommitted, retrain, 1)
    add_verdict(uncommitted, _verdict(serving, snapshot.snapshot_id, passed=True), "test")
    rollout = RolloutRow(
        model_name=serving.model,
        model_version=2,
        champion_version=1,
        role="canary",
        share_percent=20,
    )
    uncommitted.add(rollout)
    uncommitted.flush()
    assert came_to(uncommitted, serving) is None
    # While it is tried, it is not given up.
    assert came_to(uncommitted, serving, max_s=0) is None
    rollout.ended_at = datetime.now(UTC)
    uncommitted.flush()
    assert came_to(uncommitted, serving) == "the rollout of version 2 ended without a release"


def test_time_and_other_releases_end_a_retraining(
    serving: Serving, uncommitted: Session, retrain: Decision
) -> None:
    assert came_to(uncommitted, serving, max_s=0) == "it was given up after 0 s"
    current = champion(uncommitted, serving.model)
    assert current is not None
    assert count_retrain_decisions(uncommitted, current) == 1
    release = Release(
        model_name=serving.model,
        model_version=7,
        previous_version=1,
        snapshot_id="ds",
        manifest_sha256="0" * 64,
    )
    uncommitted.add(release)
    uncommitted.flush()
    assert came_to(uncommitted, serving) == "version 7 was released"
    assert count_retrain_decisions(uncommitted, release) == 0
