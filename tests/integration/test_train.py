"""Training by hand, by the command and by the launchpad: a wrong value is refused at once."""

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select

from tests.declared import model_of
from tests.stacks import visionops
from tests.waiting import eventually
from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.releases import champion
from visionops_assets.catalog.schema import Release, Snapshot, Verdict
from visionops_assets.catalog.versions import newest_version
from visionops_assets.client.dagster import DagsterClient, RunState
from visionops_assets.demo.clients import PublicApi
from visionops_assets.demo.media import digits
from visionops_assets.lineage.training_records import FOLDER, read_recorded, write_record
from visionops_assets.resources.tracking import Tracking
from visionops_assets.settings import Settings

DIGITS = 300
TIMEOUT_S = 450
JOB = "classifier__train_and_release"
TRAINED, RELEASED = "classifier__trained_model", "classifier__model_release"
ENGINE = "classifier__engine"
JOB_OF = {TRAINED: JOB, "raw_media": "process_media", ENGINE: "classifier__build_engines"}
EVENTS = """
query Events($run: ID!) {
  logsForRun(runId: $run, limit: 1000) {
    ... on EventConnection {
      events {
        __typename
        ... on ExecutionStepFailureEvent { stepKey failureMetadata { description } }
      }
    }
  }
}
"""
RUNS = """
query Runs { runsOrError(filter: {pipelineName: "classifier__train_and_release"}) {
  ... on Runs { results { runId } }
} }
"""
RETRIES = """
query Retries($run: String!) {
  runsOrError(filter: {tags: [{key: "dagster/root_run_id", value: $run}]}) {
    ... on Runs { results { runId } }
  }
}
"""


@pytest.fixture(scope="module")
def served(stack: Settings, api: PublicApi) -> int:
    """Return the version that a stack of some digits serves: that of another test, or its own."""
    uploaded, _ = digits()
    list(api.upload_all(uploaded[:DIGITS]))

    def version() -> int | None:
        with Catalog().begin() as session:
            release = champion(session, model_of(stack).name)
        return release.model_version if release else None

    return eventually("a first model", version, TIMEOUT_S)


@pytest.fixture
def dagster(stack: Settings) -> Iterator[DagsterClient]:
    with closing(DagsterClient(stack.dagster_url)) as client:
        yield client


def runs(dagster: DagsterClient) -> set[str]:
    return {run["runId"] for run in dagster.query(RUNS, {})["runsOrError"]["results"]}


def test_a_model_is_trained_by_hand_and_the_verdict_is_told(
    served: int, dagster: DagsterClient
) -> None:
    """Also after a refusal: the second is of the same snapshot."""
    words = ("train", "--steps", "1", "--learning-rate", "1e-9", "--json")
    first, second = (json.loads(visionops(*words).stdout) for _ in range(2))
    with Catalog().begin() as session:
        query = select(Snapshot.snapshot_id).order_by(Snapshot.watermark.desc()).limit(1)
        assert second["snapshot_id"] == session.scalar(query)
        serving = champion(session, "classifier")
    assert served < first["model_version"] < second["model_version"]
    assert second["snapshot_id"] == first["snapshot_id"]
    assert (second["verdict"], second["serves"]) == ("refused", False)
    assert second["reason"].startswith("Refused: ")
    assert second["run_url"] == dagster.run_url(second["run_id"])
    assert serving is not None
    assert serving.model_version == served


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--snapshot", "ds-none"], "classifier has no snapshot 'ds-none'; the newest is 'ds-"),
        (["--steps", "0"], "steps is 0"),
    ],
)
@pytest.mark.usefixtures("served")
def test_the_command_refuses_before_anything_runs(
    dagster: DagsterClient, words: list[str], told: str
) -> None:
    before = runs(dagster)
    refused = visionops("train", *words)
    assert refused.returncode == 2
    assert refused.stdout == ""
    assert refused.stderr.startswith(f"visionops: {told}")
    assert runs(dagster) == before


@pytest.mark.usefixtures("served")
def test_a_version_is_trained_again_bit_for_bit_and_another_seed_is_told(tmp_path: Path) -> None:
    """Dagster trained it, in another process. Its note is then given another seed."""
    with Catalog().begin() as session:
        version = newest_version(session, "classifier")
        verdicts, releases = session.query(Verdict).count(), session.query(Release).count()
    assert version is not None
    assert version.mlflow_run_id is not None
    words = ("reproduce", "classifier", str(version.model_version), "--json")
    again = visionops(*words)
    assert again.returncode == 0, again.stdout + again.stderr
    told = json.loads(again.stdout)
    assert (told["is_equal"], told["differences"]) == (True, [])
    assert told["weights"]["tensors"] > 10
    assert "  step " in again.stderr

    recorded = read_recorded(Tracking(), version.mlflow_run_id)
    assert recorded.conditions is not None
    other = replace(recorded.recipe, seed=recorded.recipe.seed + 1)
    note = write_record(other, recorded.conditions, tmp_path)
    Tracking().log_file(version.mlflow_run_id, note, FOLDER)
    differing = visionops(*words[:-1])
    assert differing.returncode == 1, differing.stderr
    assert f"with seed {other.seed}" in differing.stdout
    assert "tensors differ, by " in differing.stdout
    assert "Frames of the holdout with the same answer: " in differing.stdout
    unknown = visionops("reproduce", "classifier", "999")
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert "There is no version 999 of a model 'classifier'" in unknown.stderr
    with Catalog().begin() as session:
        newest = newest_version(session, "classifier")
        assert newest is not None
        assert newest.model_version == version.model_version
        assert session.query(Verdict).count() == verdicts
        assert session.query(Release).count() == releases


def config_of(step: str, **config: object) -> dict[str, object]:
    """Return the configuration of a run with one of these steps."""
    return {"ops": {step: {"config": config}}}


@pytest.mark.parametrize(
    ("first_step", "config", "told"),
    [
        (TRAINED, config_of(TRAINED, steps=-3), "steps is -3, and must be from 1"),
        (TRAINED, config_of(TRAINED, network="resnet-huge"), "There is no network"),
        (TRAINED, config_of(TRAINED, snapshot_id="ds-none"), "classifier has no s"),
        (TRAINED, config_of(RELEASED, canary_percent=-5), "canary_percent is -5"),
        (ENGINE, config_of(ENGINE, model_version=-1), "model_version is -1, and must be"),
    ],
    ids=["steps", "network", "snapshot", "canary", "engine"],
)
@pytest.mark.usefixtures("served")
def test_from_the_launchpad_the_first_step_refuses_in_one_sentence_without_a_retry(
    dagster: DagsterClient, first_step: str, config: dict[str, object], told: str
) -> None:
    refused(dagster, first_step, told, dagster.launch(JOB_OF[first_step], config))


@pytest.mark.parametrize(
    ("partition", "told"),
    [
        (None, "A run takes one batch, and this one names none"),
        ("media-0-9000-9001", "There is no batch 'media-0-9000-9001'"),
        ("nonsense", "'nonsense' names no batch of media"),
    ],
)
@pytest.mark.usefixtures("served")
def test_a_batch_that_does_not_exist_is_refused_in_one_sentence_without_a_retry(
    dagster: DagsterClient, partition: str | None, told: str
) -> None:
    tags = {"dagster/partition": partition} if partition else {}
    refused(dagster, "raw_media", told, dagster.launch(JOB_OF["raw_media"], {}, tags))


def refused(dagster: DagsterClient, first_step: str, told: str, run_id: str) -> None:
    """Wait for a run to end, and see that its first step refused it, and that nothing came."""

    def ended() -> RunState | None:
        state = dagster.run_state(run_id)
        return state if state.has_ended else None

    assert eventually("the run's end", ended, TIMEOUT_S).status == "FAILURE"
    events = dagster.query(EVENTS, {"run": run_id})["logsForRun"]["events"]
    kinds = [event["__typename"] for event in events]
    assert "ExecutionStepUpForRetryEvent" not in kinds
    (failure,) = (e for e in events if e["__typename"] == "ExecutionStepFailureEvent")
    assert failure["stepKey"] == first_step
    assert failure["failureMetadata"]["description"].startswith(told)
    assert "\n" not in failure["failureMetadata"]["description"]
    assert dagster.why_failed(run_id) == failure["failureMetadata"]["description"]
    assert dagster.query(RETRIES, {"run": run_id})["runsOrError"]["results"] == []
