"""A refusal by the gate is an answer: a green run, a sentence, and what to do next, everywhere."""

import json
from typing import Any

import httpx
import pytest

from tests.declared import declare, model_of
from tests.defined import step_of
from tests.integration.gateway_process import running_gateway
from tests.stacks import visionops
from tests.vision.corpus import picture, saved
from tests.waiting import eventually
from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.releases import add_verdict, champion, newest_verdict
from visionops_assets.contracts import GateState, GateVerdict
from visionops_assets.demo.clients import PublicApi
from visionops_assets.demo.drift import USELESS_RECIPE
from visionops_assets.demo.media import digits
from visionops_assets.settings import Settings

DIGITS = 300
TIMEOUT_S = 450
JOB = "classifier__train_and_release"

RUN = """
query Run {
  runsOrError(filter: {pipelineName: "classifier__train_and_release"}, limit: 1) {
    ... on Runs { results { runId status } }
  }
}
"""
EVENTS = """
query Events($run: ID!) {
  logsForRun(runId: $run, limit: 1000) {
    ... on EventConnection {
      events {
        __typename
        ... on MessageEvent { stepKey message }
        ... on AssetCheckEvaluationEvent { evaluation { checkName success description } }
      }
    }
  }
}
"""


def ask_dagster(stack: Settings, query: str, **variables: str) -> Any:
    """Ask as Dagster's own UI does."""
    body = {"query": query, "variables": variables}
    answer = httpx.post(f"{stack.dagster_url}/graphql", json=body, trust_env=False, timeout=60)
    assert "errors" not in answer.json(), answer.text
    return answer.json()["data"]


@pytest.fixture(scope="module")
def serving_version(stack: Settings, api: PublicApi) -> int:
    """The champion of a stack that serves some digits: that of another test, or of its own."""
    uploaded, _ = digits()
    list(api.upload_all(uploaded[:DIGITS]))

    def served() -> int | None:
        with Catalog().begin() as session:
            release = champion(session, model_of(stack).name)
        return release.model_version if release else None

    return eventually("a first model", served, TIMEOUT_S)


def finished_run(stack: Settings, after: str | None) -> dict[str, Any] | None:
    """Return the newest run of the job if it is another one than `after`, and is over."""
    runs = ask_dagster(stack, RUN)["runsOrError"]["results"]
    if not runs or runs[0]["runId"] == after or runs[0]["status"] not in {"SUCCESS", "FAILURE"}:
        return None
    run: dict[str, Any] = runs[0]
    return run


def test_a_refused_model_leaves_a_green_run_and_says_what_to_do(
    serving_version: int, stack: Settings, api: PublicApi
) -> None:
    before = eventually("the run of the champion", lambda: finished_run(stack, None), TIMEOUT_S)
    api.launch(JOB, {"ops": {step_of("trained_model"): {"config": USELESS_RECIPE}}})
    run = eventually("its run", lambda: finished_run(stack, before["runId"]), TIMEOUT_S)
    assert run["status"] == "SUCCESS"

    events = ask_dagster(stack, EVENTS, run=run["runId"])["logsForRun"]["events"]
    by_type: dict[str, list[dict[str, Any]]] = {}
    for event in events:
        by_type.setdefault(event["__typename"], []).append(event)
    (check,) = (event["evaluation"] for event in by_type["AssetCheckEvaluationEvent"])
    assert (check["checkName"], check["success"]) == ("gate", False)
    materialized = {event["stepKey"] for event in by_type["MaterializationEvent"]}
    assert materialized == {step_of("trained_model"), step_of("model_evaluation")}
    skipped = {event["stepKey"] for event in by_type["ExecutionStepSkippedEvent"]}
    assert step_of("model_release") in skipped
    assert "ExecutionStepFailureEvent" not in by_type
    assert "Traceback" not in " ".join(str(event.get("message")) for event in events)

    (shown,) = visionops("models", "show", "--json").stdout.splitlines()
    told = json.loads(shown)
    with Catalog().begin() as session:
        verdict = newest_verdict(session, model_of(stack).name, told["version"])
        serves = champion(session, model_of(stack).name)
    assert verdict is not None
    assert verdict.state is GateState.REFUSED
    assert verdict.reason == told["reason"]
    assert check["description"] == f"{verdict.reason} {told['next_step']}"
    assert verdict.reason.startswith("Refused: accuracy differs from that of champion version ")
    assert told["holdout_groups"] == verdict.holdout_groups
    assert told["train_frames"] > told["holdout_frames"] > 0
    assert told["next_step"].startswith(f"Version {serving_version} serves on. Add labelled media")
    assert serves is not None
    assert serves.model_version == serving_version

    listed = visionops("models", "versions", "--json").stdout.splitlines()
    parts = {row["version"]: row["part"] for row in map(json.loads, listed)}
    assert (parts[serving_version], parts[told["version"]]) == ("champion", "never released")
    assert f"The newest version, {told['version']}, was refused" in visionops("status").stdout


def test_while_nothing_serves_everybody_hears_why(
    stack: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    """Of a model of a name of its own, first without a verdict and then with a poor one."""
    image = tmp_path / "photo.png"
    image.write_bytes(saved(picture(), "PNG"))
    model = "never-served"
    monkeypatch.setenv("VISIONOPS_MODELS", str(declare(tmp_path / "models", model)))
    verdict = GateVerdict(
        model_name=model,
        model_version=1,
        champion_version=None,
        snapshot_id="ds-none",
        holdout_size=40,
        holdout_groups=40,
        accuracy=0.5,
        accuracy_low=0.35,
        accuracy_high=0.65,
        champion_accuracy=None,
        passed=False,
        state=GateState.UNDECIDED,
        groups_needed=12,
        reason="A test.",
    )
    with running_gateway(model) as gateway:
        untrained = gateway.post(image.read_bytes())
        assert (untrained.status_code, untrained.json()["code"]) == (503, "no_model_served")
        assert "none was trained yet" in untrained.json()["detail"]
        assert stack.triton_grpc_address not in untrained.text

        with Catalog().begin() as session:
            add_verdict(session, verdict, "test")

        def heard() -> str | None:
            detail: str = gateway.post(image.read_bytes()).json()["detail"]
            return detail if "too small a holdout" in detail else None

        detail = eventually("the gateway to hear of the verdict", heard)
    assert "about 60 more groups" in detail
    predicted = visionops("predict", str(image))
    assert predicted.returncode == 2
    assert predicted.stderr.strip() == f"visionops: {detail}"
    assert detail in visionops("releases", "ls").stdout
    assert detail in visionops("status").stdout
    (step,) = (
        json.loads(line)["next_step"]
        for line in visionops("models", "versions", "--json").stdout.splitlines()
    )
    assert step in detail
