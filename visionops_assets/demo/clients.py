"""Calls the public APIs for the demo: ingest, gateway, Dagster's GraphQL."""

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx
from pydantic import SecretStr

from visionops_assets.catalog.keys import bearer_header
from visionops_assets.client.dagster import DagsterClient
from visionops_assets.demo.media import DemoFile
from visionops_assets.errors import ServerUnreachableError, VisionOpsError

PARALLEL_REQUESTS = 8
SOURCE = "demo"
"""Of the media that the demo sends."""
REQUEST_TIMEOUT_S = 60.0

MATERIALIZATIONS = """
query Newest($keys: [AssetKeyInput!]!) {
  assetNodes(assetKeys: $keys) {
    assetKey { path }
    assetMaterializations(limit: 1) {
      timestamp
      metadataEntries {
        label
        ... on IntMetadataEntry { intValue }
        ... on FloatMetadataEntry { floatValue }
        ... on TextMetadataEntry { text }
      }
    }
  }
}
"""

FAILED_RUNS = """
query Failed {
  runsOrError(filter: {statuses: [FAILURE]}, limit: 5) {
    ... on Runs { results { runId jobName } }
  }
}
"""


@dataclass(frozen=True)
class Materialization:
    """The newest materialization of an asset: when (seconds since 1970), and its scalars."""

    timestamp_s: float
    metadata: dict[str, Any]


def _answer(response: httpx.Response) -> Any:
    if response.is_success:
        return response.json()
    raise VisionOpsError(f"{response.request.url} answered {response.status_code}: {response.text}")


class PublicApi:
    """Calls the services over HTTP: ingest and the gateway with the key, Dagster without."""

    def __init__(
        self, ingest_url: str, gateway_url: str, dagster_url: str, api_key: SecretStr
    ) -> None:
        self._ingest_url = ingest_url
        self._gateway_url = gateway_url
        self._dagster = DagsterClient(dagster_url)
        self._api_key = api_key
        limits = httpx.Limits(max_connections=PARALLEL_REQUESTS)
        # The environment's proxy is not for the servers of this machine.
        self._http = httpx.Client(timeout=REQUEST_TIMEOUT_S, limits=limits, trust_env=False)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()
        self._dagster.close()

    def _call(
        self, method: str, url: str, headers: Mapping[str, str] | None = None, **options: Any
    ) -> Any:
        """Send a request to one of our services."""
        headers = {**(headers or {}), **bearer_header(self._api_key)}
        return self._request(method, url, headers=headers, **options)

    def _request(self, method: str, url: str, **options: Any) -> Any:
        try:
            return _answer(self._http.request(method, url, **options))
        except httpx.TransportError as error:
            raise ServerUnreachableError(
                f"{url} does not answer: {error}. See `visionops status`."
            ) from error

    def upload_all(self, files: Iterable[DemoFile]) -> Iterator[dict[str, Any]]:
        """Upload files, several at a time, and yield each answer."""
        with ThreadPoolExecutor(PARALLEL_REQUESTS) as pool:
            yield from pool.map(self._upload, files)

    def _upload(self, file: DemoFile) -> dict[str, Any]:
        fields = {"source": SOURCE} | ({"label": file.label} if file.label else {})
        upload = {"file": (file.name, file.data, file.content_type)}
        answer: dict[str, Any] = self._call(
            "POST", f"{self._ingest_url}/v1/media", data=fields, files=upload
        )
        return answer

    def media(self, media_id: str) -> dict[str, Any]:
        """Return status and frames of one media file."""
        answer: dict[str, Any] = self._call("GET", f"{self._ingest_url}/v1/media/{media_id}")
        return answer

    def stats(self) -> dict[str, Any]:
        """Count media by status, and frames."""
        answer: dict[str, Any] = self._call("GET", f"{self._ingest_url}/v1/stats")
        return answer

    def predict(self, file: DemoFile) -> dict[str, Any]:
        """Return one prediction by the HTTP gateway."""
        headers = {"content-type": file.content_type}
        answer: dict[str, Any] = self._call(
            "POST", f"{self._gateway_url}/v1/predict", content=file.data, headers=headers
        )
        return answer

    def label_all(self, labels: Iterable[tuple[UUID, str]]) -> int:
        """Send labels of predictions to the gateway, which answer its draw; return how many."""
        with ThreadPoolExecutor(PARALLEL_REQUESTS) as pool:
            return len(list(pool.map(self._label, labels)))

    def _label(self, labelled: tuple[UUID, str]) -> None:
        prediction_id, label = labelled
        url = f"{self._gateway_url}/v1/predictions/{prediction_id}/label"
        self._call("POST", url, json={"label": label, "answers_draw": True})

    def materializations(self, assets: Iterable[str]) -> dict[str, Materialization]:
        """Return the newest materialization of each asset that has one, by the asset's name.

        Assets are named as Dagster shows them: `classifier/labels`.
        """
        keys = [{"path": name.split("/")} for name in assets]
        data = self._dagster.query(MATERIALIZATIONS, {"keys": keys})
        return {
            "/".join(node["assetKey"]["path"]): _materialization(node["assetMaterializations"][0])
            for node in data["assetNodes"]
            if node["assetMaterializations"]
        }

    def failed_runs(self) -> list[str]:
        """Return the addresses of the newest failed runs."""
        runs = self._dagster.query(FAILED_RUNS, {})["runsOrError"]["results"]
        return [f"{run['jobName']}: {self._dagster.run_url(run['runId'])}" for run in runs]

    def launch(self, job: str, run_config: Mapping[str, Any]) -> None:
        """Start a job as the launchpad of Dagster's UI does."""
        self._dagster.launch(job, run_config)


def _materialization(event: dict[str, Any]) -> Materialization:
    scalars = {
        entry["label"]: entry.get("intValue", entry.get("floatValue", entry.get("text")))
        for entry in event["metadataEntries"]
    }
    return Materialization(float(event["timestamp"]) / 1000, scalars)
