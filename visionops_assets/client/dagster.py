"""Launches jobs and looks at runs from outside, by the GraphQL of Dagster's webserver."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from visionops_assets.errors import ServerUnreachableError, VisionOpsError
from visionops_client.addresses import is_loopback

LOCATION = "visionops"
REPOSITORY = "__repository__"
TIMEOUT_S = 60.0
ATTEMPTS = 4
_ALREADY_THERE = "DuplicateDynamicPartitionError"
ENDED = frozenset({"SUCCESS", "FAILURE", "CANCELED"})

LAUNCH = """
mutation Launch(
  $repository: String!, $location: String!, $job: String!, $config: RunConfigData!,
  $tags: [ExecutionTag!]!
) {
  launchRun(executionParams: {
    selector: {
      repositoryName: $repository, repositoryLocationName: $location, jobName: $job
    }
    runConfigData: $config
    executionMetadata: { tags: $tags }
  }) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
    ... on RunConfigValidationInvalid { errors { message } }
  }
}
"""
PARTITIONS = """
query Partitions($path: [String!]!) {
  assetNodeOrError(assetKey: { path: $path }) {
    __typename
    ... on AssetNode { partitionKeys }
  }
}
"""
ADD_PARTITION = """
mutation Add($repository: String!, $location: String!, $definition: String!, $key: String!) {
  addDynamicPartition(
    repositorySelector: { repositoryName: $repository, repositoryLocationName: $location }
    partitionsDefName: $definition
    partitionKey: $key
  ) {
    __typename
    ... on PythonError { message }
  }
}
"""
BACKFILL = """
mutation Backfill($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message }
    ... on PartitionKeysNotFoundError { message }
  }
}
"""
RUN = """
query Run($id: ID!) {
  runOrError(runId: $id) {
    __typename
    ... on Run { status stepStats { stepKey status } }
  }
}
"""
FAILURES = """
query Failures($id: ID!) {
  logsForRun(runId: $id, limit: 1000) {
    ... on EventConnection { events {
      ... on ExecutionStepFailureEvent { failureMetadata { description } error { message } }
      ... on RunFailureEvent { message }
    } }
  }
}
"""


@dataclass(frozen=True)
class RunState:
    """The state of a run: Dagster's status of it, and of each step that has begun, by its name."""

    run_id: str
    status: str
    steps: dict[str, str]

    @property
    def has_ended(self) -> bool:
        """Say whether the status is final."""
        return self.status in ENDED


class DagsterClient:
    """Calls one Dagster webserver.

    Raises:
        ServerUnreachableError: it does not answer.
        VisionOpsError: it refuses; the message says why.
    """

    def __init__(self, url: str, transport: httpx.BaseTransport | None = None) -> None:
        self.url = url.rstrip("/")
        # The environment's proxy is not for the servers of this machine.
        self._http = httpx.Client(
            timeout=TIMEOUT_S, trust_env=not is_loopback(url), transport=transport
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def run_url(self, run_id: str) -> str:
        """Return the page of a run."""
        return f"{self.url}/runs/{run_id}"

    def launch(
        self, job: str, run_config: Mapping[str, Any], tags: Mapping[str, str] | None = None
    ) -> str:
        """Start a job as the launchpad of Dagster's UI does; return the id of its run."""
        labels = [{"key": key, "value": value} for key, value in (tags or {}).items()]
        target = {"repository": REPOSITORY, "location": LOCATION, "job": job}
        answer = self.query(LAUNCH, target | {"config": run_config, "tags": labels})["launchRun"]
        if answer["__typename"] != "LaunchRunSuccess":
            raise VisionOpsError(f"Dagster did not launch {job}: {_complaint(answer)}")
        return str(answer["run"]["runId"])

    def backfill(
        self,
        asset: str,
        partitions_definition: str,
        keys: Sequence[str],
        title: str,
        tags: Mapping[str, str],
    ) -> str:
        """Start a backfill of an asset over dynamic partitions; return its page.

        Partitions that were dropped are added again.
        """
        known = self.query(PARTITIONS, {"path": asset.split("/")})["assetNodeOrError"]
        if known["__typename"] != "AssetNode":
            raise VisionOpsError(f"Dagster knows no asset {asset}.")
        target = {"repository": REPOSITORY, "location": LOCATION}
        for key in sorted(set(keys) - set(known["partitionKeys"])):
            added = self.query(
                ADD_PARTITION, target | {"definition": partitions_definition, "key": key}
            )["addDynamicPartition"]
            if added["__typename"] not in {"AddDynamicPartitionSuccess", _ALREADY_THERE}:
                raise VisionOpsError(f"Dagster did not add {key}: {_complaint(added)}")
        params = {
            "assetSelection": [{"path": asset.split("/")}],
            "partitionNames": list(keys),
            "title": title,
            "tags": [{"key": key, "value": value} for key, value in tags.items()],
        }
        answer = self.query(BACKFILL, {"params": params})["launchPartitionBackfill"]
        if answer["__typename"] != "LaunchBackfillSuccess":
            raise VisionOpsError(f"Dagster started no backfill: {_complaint(answer)}")
        return f"{self.url}/runs/b/{answer['backfillId']}"

    def run_state(self, run_id: str) -> RunState:
        """Look at a run."""
        found = self.query(RUN, {"id": run_id})["runOrError"]
        if found["__typename"] != "Run":
            raise VisionOpsError(f"Dagster knows no run {run_id}.")
        steps = {each["stepKey"]: each["status"] or "" for each in found["stepStats"]}
        return RunState(run_id, found["status"], steps)

    def why_failed(self, run_id: str) -> str:
        """Return the first failure of a run in words; empty without one."""
        events = self.query(FAILURES, {"id": run_id})["logsForRun"].get("events", [])
        return next(filter(None, map(_reason, events)), "")

    def query(self, query: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        """Return the data that answers a query or a mutation of GraphQL."""
        body = {"query": query, "variables": variables}
        answer: dict[str, Any] = {}
        for attempt in range(ATTEMPTS):
            answer = self.post("/graphql", body)
            if "errors" not in answer:
                data: dict[str, Any] = answer["data"]
                return data
            # Dagster's first query on each connection that a restart of PostgreSQL cut fails.
            time.sleep(attempt)
        raise VisionOpsError(f"Dagster refused a query: {answer['errors'][0]['message']}")

    def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Send JSON to a path, once, and return the JSON that comes back."""
        try:
            response = self._http.post(f"{self.url}{path}", json=body)
        except httpx.TransportError as error:
            raise ServerUnreachableError(
                f"Dagster at {self.url} does not answer: {error}. See `visionops status`."
            ) from error
        if response.is_success:
            answer: dict[str, Any] = response.json()
            return answer
        raise VisionOpsError(f"{self.url} answered {response.status_code}: {response.text}")


def _complaint(answer: Mapping[str, Any]) -> str:
    errors = answer.get("errors") or [{"message": answer.get("message", answer["__typename"])}]
    return " ".join(str(error["message"]).strip() for error in errors)


def _reason(event: Mapping[str, Any]) -> str | None:
    described = (event.get("failureMetadata") or {}).get("description")
    raised = (event.get("error") or {}).get("message")
    told = described or raised or event.get("message")
    return str(told).strip() if told else None
