"""Kubernetes Jobs of ours beside those that Dagster makes: started, watched, never started twice.

Not here: what a Job does. Kubernetes' client takes half a second to import, so it is imported when
it is used.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from pathlib import Path
from typing import Any

import dagster as dg
from urllib3.exceptions import HTTPError

from visionops_assets.errors import ServerUnreachableError, SettingsError

NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
TIMEOUT_S = 30


class JobState(StrEnum):
    """Whether a Job goes on, and how it ended."""

    UNDER_WAY = "under way"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True)
class JobProgress:
    """How far a Job is, in words, and the last message of its newest container."""

    state: JobState
    said: str
    message: str = ""


class KubernetesJobs(dg.ConfigurableResource["KubernetesJobs"]):
    """The Jobs of a namespace: by default of the pod that this runs in, with its rights.

    `api_url` names another API server, without a token. Every method raises
    `ServerUnreachableError` if Kubernetes does not answer, and `SettingsError` if it refuses, or if
    this pod has no token.
    """

    api_url: str = ""
    namespace: str = ""

    def start(self, job: Mapping[str, Any]) -> None:
        """Create a Job; if there is one of its name, it is that one, and stays as it is."""
        with self._api() as (api, namespace):
            try:
                _client().BatchV1Api(api).create_namespaced_job(
                    namespace, body=dict(job), _request_timeout=TIMEOUT_S
                )
            except _client().ApiException as error:
                if error.status != HTTPStatus.CONFLICT:
                    raise

    def progress(self, name: str) -> JobProgress:
        """Say how far a Job is."""
        with self._api() as (api, namespace):
            job = (
                _client()
                .BatchV1Api(api)
                .read_namespaced_job(name, namespace, _request_timeout=TIMEOUT_S)
            )
            pods = (
                _client()
                .CoreV1Api(api)
                .list_namespaced_pod(
                    namespace, label_selector=f"job-name={name}", _request_timeout=TIMEOUT_S
                )
            )
            # As Kubernetes writes them: the client's objects have no types.
            as_read = api.sanitize_for_serialization
            return progress_of(as_read(job), [as_read(pod) for pod in pods.items])

    @contextmanager
    def _api(self) -> Iterator[tuple[Any, str]]:
        """Connect, with the namespace; turn the client's errors into ours."""
        client = _client()
        try:
            with client.ApiClient(self._configuration()) as api:
                yield api, self.namespace or NAMESPACE_FILE.read_text().strip()
        except client.ApiException as error:
            if (
                error.status == HTTPStatus.TOO_MANY_REQUESTS
                or (error.status or 500) >= HTTPStatus.INTERNAL_SERVER_ERROR
            ):
                raise ServerUnreachableError(f"Kubernetes answers {error.status}.") from error
            raise SettingsError(
                f"Kubernetes refuses, with {error.status} {error.reason}: {error.body}. What a run "
                "may do there is in the role `dagster` of deploy/kubernetes/base/identities.yaml."
            ) from error
        except HTTPError as error:
            raise ServerUnreachableError(f"Kubernetes does not answer: {error}") from error

    def _configuration(self) -> Any:
        client = _client()
        # Without retries of its own: who asks does so again.
        configuration = client.Configuration()
        configuration.retries = False
        if self.api_url:
            configuration.host = self.api_url
            return configuration
        from kubernetes import config  # type: ignore[import-untyped]  # noqa: PLC0415

        try:
            config.load_incluster_config(client_configuration=configuration)
        except config.ConfigException as error:
            raise SettingsError(
                f"This is no pod that may start Jobs: {error} On a cluster the pod of a run may; "
                "start the job `build_engines`, whose step runs there."
            ) from error
        return configuration


def progress_of(job: Mapping[str, Any], pods: Sequence[Mapping[str, Any]]) -> JobProgress:
    """Read how far a Job is from itself and its pods, as Kubernetes writes them."""
    newest = max(pods, key=lambda pod: str(pod["metadata"]["creationTimestamp"]), default={})
    statuses = newest.get("status", {}).get("containerStatuses", [])
    ended = [status["state"].get("terminated", {}) for status in statuses]
    message = "".join(end.get("message", "") for end in ended)
    for condition in job.get("status", {}).get("conditions", []):
        if condition["status"] == "True" and condition["type"] == "Complete":
            return JobProgress(JobState.SUCCEEDED, "It succeeded.", message)
        if condition["status"] == "True" and condition["type"] == "Failed":
            why = condition.get("message") or condition.get("reason", "")
            return JobProgress(JobState.FAILED, f"It failed: {why}", message)
    return JobProgress(JobState.UNDER_WAY, _pod_in_words(newest), message)


def _pod_in_words(pod: Mapping[str, Any]) -> str:
    """Say where a pod is, and what it waits for."""
    if not pod:
        return "Its pod is not there yet."
    status = pod.get("status", {})
    waiting = [
        found
        for each in status.get("containerStatuses", [])
        if (found := each["state"].get("waiting"))
    ]
    unmet = [each for each in status.get("conditions", []) if each["status"] == "False"]
    phase = f"Its pod is {status.get('phase', 'unknown').lower()}"
    if waiting:
        return f"{phase}: {waiting[0].get('reason')} {waiting[0].get('message', '')}".rstrip()
    if status.get("phase") == "Pending" and unmet:
        return f"{phase}: {unmet[0].get('message', unmet[0].get('reason', ''))}"
    node = pod.get("spec", {}).get("nodeName")
    return f"{phase} on {node}." if node else f"{phase}."


def _client() -> Any:
    from kubernetes import client  # noqa: PLC0415

    return client
