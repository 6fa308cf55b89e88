"""What is asked of Dagster's GraphQL, and what is made of its answers."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from visionops_assets.client.dagster import DagsterClient
from visionops_assets.errors import ServerUnreachableError, VisionOpsError

Answer = dict[str, Any]


def answering(*answers: Answer) -> tuple[DagsterClient, list[Answer]]:
    """Make a client of a Dagster that answers so in turn, and the list of what it was asked."""
    asked: list[Answer] = []
    left = list(answers)

    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(json.loads(request.content))
        return httpx.Response(200, json=left.pop(0))

    return DagsterClient("http://dagster:3000/", httpx.MockTransport(handle)), asked


def data(**fields: Any) -> Answer:
    return {"data": fields}


def test_a_job_is_launched_with_its_configuration_and_tags() -> None:
    launched = {"__typename": "LaunchRunSuccess", "run": {"runId": "r1"}}
    client, asked = answering(data(launchRun=launched))
    assert client.launch("train", {"ops": {}}, {"by": "me"}) == "r1"
    variables = asked[0]["variables"]
    assert (variables["job"], variables["config"]) == ("train", {"ops": {}})
    assert variables["tags"] == [{"key": "by", "value": "me"}]
    assert client.run_url("r1") == "http://dagster:3000/runs/r1"


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (
            {"__typename": "RunConfigValidationInvalid", "errors": [{"message": "no such field"}]},
            "no such field",
        ),
        ({"__typename": "PythonError", "message": "boom"}, "boom"),
        ({"__typename": "UnauthorizedError"}, "UnauthorizedError"),
    ],
)
def test_a_launch_that_is_refused_says_why(answer: Answer, told: str) -> None:
    client, _ = answering(data(launchRun=answer))
    with pytest.raises(VisionOpsError, match=f"did not launch train: {told}"):
        client.launch("train", {})


def test_a_run_shows_its_status_and_that_of_its_steps() -> None:
    steps = [{"stepKey": "a", "status": "SUCCESS"}, {"stepKey": "b", "status": None}]
    running = {"__typename": "Run", "status": "STARTED", "stepStats": steps}
    client, _ = answering(
        data(runOrError=running), data(runOrError=running | {"status": "FAILURE"})
    )
    state = client.run_state("r1")
    assert (state.steps, state.has_ended) == ({"a": "SUCCESS", "b": ""}, False)
    assert client.run_state("r1").has_ended


def test_a_run_that_is_not_there_is_said() -> None:
    client, _ = answering(data(runOrError={"__typename": "RunNotFoundError"}))
    with pytest.raises(VisionOpsError, match="no run r9"):
        client.run_state("r9")


@pytest.mark.parametrize(
    ("events", "told"),
    [
        (
            [{}, {"failureMetadata": {"description": "steps is 0."}, "error": {"message": "T"}}],
            "steps is 0.",
        ),
        ([{"failureMetadata": None, "error": {"message": "ValueError: x\n"}}], "ValueError: x"),
        ([{"message": "The worker died."}], "The worker died."),
        ([], ""),
    ],
)
def test_a_failure_is_told_in_the_words_of_who_failed(events: list[Answer], told: str) -> None:
    client, _ = answering(data(logsForRun={"events": events}))
    assert client.why_failed("r1") == told


def test_a_query_that_fails_once_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("visionops_assets.client.dagster.time.sleep", lambda _: None)
    broken = {"errors": [{"message": "connection cut"}]}
    client, asked = answering(broken, data(x=1))
    assert client.query("{ x }", {}) == {"x": 1}
    assert len(asked) == 2
    client, _ = answering(*[broken] * 4)
    with pytest.raises(VisionOpsError, match="connection cut"):
        client.query("{ x }", {})


def raising(error: Exception) -> Callable[[httpx.Request], httpx.Response]:
    def handle(request: httpx.Request) -> httpx.Response:
        raise error

    return handle


def test_no_answer_and_no_success_are_said() -> None:
    silent = DagsterClient("http://d", httpx.MockTransport(raising(httpx.ConnectError("refused"))))
    with pytest.raises(ServerUnreachableError, match="Dagster at http://d does not answer"):
        silent.query("{ x }", {})
    broken = DagsterClient("http://d", httpx.MockTransport(lambda _: httpx.Response(502, text="?")))
    with pytest.raises(VisionOpsError, match="answered 502"):
        broken.query("{ x }", {})


def backfill_of(client: DagsterClient) -> str:
    return client.backfill("frames", "batches", ["b", "a", "c"], "title", {"by": "me"})


def test_a_backfill_gets_its_partitions_back() -> None:
    client, asked = answering(
        data(assetNodeOrError={"__typename": "AssetNode", "partitionKeys": ["a"]}),
        data(addDynamicPartition={"__typename": "AddDynamicPartitionSuccess"}),
        data(addDynamicPartition={"__typename": "DuplicateDynamicPartitionError"}),
        data(launchPartitionBackfill={"__typename": "LaunchBackfillSuccess", "backfillId": "f1"}),
    )
    assert backfill_of(client) == "http://dagster:3000/runs/b/f1"
    assert [each["variables"].get("key") for each in asked] == [None, "b", "c", None]
    assert {each["variables"]["definition"] for each in asked[1:3]} == {"batches"}
    params = asked[3]["variables"]["params"]
    assert params["assetSelection"] == [{"path": ["frames"]}]
    assert params["partitionNames"] == ["b", "a", "c"]
    assert params["tags"] == [{"key": "by", "value": "me"}]


@pytest.mark.parametrize(
    ("answers", "told"),
    [
        ([data(assetNodeOrError={"__typename": "AssetNotFoundError"})], "no asset frames"),
        (
            [
                data(assetNodeOrError={"__typename": "AssetNode", "partitionKeys": ["a", "c"]}),
                data(addDynamicPartition={"__typename": "PythonError", "message": "boom"}),
            ],
            "did not add b: boom",
        ),
        (
            [
                data(assetNodeOrError={"__typename": "AssetNode", "partitionKeys": list("abc")}),
                data(launchPartitionBackfill={"__typename": "PythonError", "message": "boom"}),
            ],
            "no backfill: boom",
        ),
    ],
)
def test_a_backfill_that_is_refused_is_told(answers: list[Answer], told: str) -> None:
    client, _ = answering(*answers)
    with pytest.raises(VisionOpsError, match=told):
        backfill_of(client)
