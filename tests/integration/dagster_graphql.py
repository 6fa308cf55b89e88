"""Questions to Dagster's webserver."""

from typing import Any

import httpx

from tests.waiting import eventually

START_TIMEOUT_S = 120.0
LOCATION = {"repositoryName": "__repository__", "repositoryLocationName": "visionops"}
LOADED = """{ workspaceOrError { ... on Workspace { locationEntries {
  name locationOrLoadError { __typename } } } } }"""
# With a time, since Dagster else finds ticks by the address of their code server.
TICKS = """query Ticks($in: RepositorySelector!) { sensorsOrError(repositorySelector: $in) {
  ... on Sensors { results { name sensorState {
    ticks(limit: 5, afterTimestamp: 1) { status skipReason timestamp } } } } } }"""
START = """mutation Start($params: ExecutionParams!) { launchRun(executionParams: $params) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
RUN = """query Run($id: ID!) { runOrError(runId: $id) { ... on Run { runId status
  eventConnection { events {
    ... on LogsCapturedEvent { fileKey }
    ... on ExecutionStepFailureEvent { error {
      message errorChain { error { message } } } } } } } } }"""
ENDED = {"SUCCESS", "FAILURE", "CANCELED"}
LOGS = """query Logs($key: [String!]!) { capturedLogs(logKey: $key) { stdout stderr } }"""


def ask(url: str, query: str, **variables: object) -> Any:
    asked = {"query": query, "variables": variables}
    answer = httpx.post(f"{url}/graphql", json=asked, timeout=60, trust_env=False)
    return answer.raise_for_status().json()["data"]


def loaded(url: str) -> list[tuple[str, str]]:
    """Return each code location, and what came of loading it."""
    entries = ask(url, LOADED)["workspaceOrError"]["locationEntries"]
    return [(entry["name"], entry["locationOrLoadError"]["__typename"]) for entry in entries]


def ticks(url: str, sensor: str = "classifier__new_labels") -> list[dict[str, Any]]:
    """Return the newest ticks of a sensor."""
    found = ask(url, TICKS, **{"in": LOCATION})["sensorsOrError"]["results"]
    by_name = {each["name"]: each["sensorState"]["ticks"] for each in found}
    newest: list[dict[str, Any]] = by_name[sensor]
    return newest


def run_health_check(url: str) -> dict[str, Any]:
    """Start a run by hand, as the launchpad does, and wait until it has ended."""
    selector = LOCATION | {"pipelineName": "check_health"}
    params = {"selector": selector, "runConfigData": {}, "mode": "default"}
    answer = ask(url, START, params=params)["launchRun"]
    assert answer["__typename"] == "LaunchRunSuccess", answer

    def ended() -> dict[str, Any] | None:
        run: dict[str, Any] = ask(url, RUN, id=answer["run"]["runId"])["runOrError"]
        return run if run["status"] in ENDED else None

    return eventually("the run has ended", ended, START_TIMEOUT_S)


def run_logs(url: str, run: dict[str, Any]) -> dict[str, str | None]:
    """Return what a run of one process printed, as its page shows it."""
    [key] = [event["fileKey"] for event in run["eventConnection"]["events"] if "fileKey" in event]
    path = [run["runId"], "compute_logs", key]
    logs: dict[str, str | None] = ask(url, LOGS, key=path)["capturedLogs"]
    return logs
