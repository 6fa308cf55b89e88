from collections.abc import Iterator
from typing import Any

import pytest

from tests.kubernetes_api import Cluster, kubernetes_api
from visionops_assets.errors import ServerUnreachableError, SettingsError
from visionops_assets.resources.kubernetes_jobs import (
    JobProgress,
    JobState,
    KubernetesJobs,
    progress_of,
)
from visionops_assets.stages.serving.engine_job import engine_job

JOB = engine_job("m", 3, "image", gpu_product="NVIDIA-L4")
NAME = JOB["metadata"]["name"]


@pytest.fixture
def api() -> Iterator[tuple[Cluster, KubernetesJobs]]:
    with kubernetes_api() as served:
        yield served


def test_a_job_is_started_once(api: tuple[Cluster, KubernetesJobs]) -> None:
    cluster, jobs = api
    started: list[Any] = []
    cluster.node = started.append
    jobs.start(JOB)
    jobs.start(JOB)
    assert started == [JOB]
    assert jobs.progress(NAME) == JobProgress(JobState.UNDER_WAY, "Its pod is not there yet.")


def test_the_last_message_of_its_container_comes_with_its_end(
    api: tuple[Cluster, KubernetesJobs],
) -> None:
    cluster, jobs = api
    cluster.node = lambda job: cluster.end(job, "Complete", "records")
    jobs.start(JOB)
    assert jobs.progress(NAME) == JobProgress(JobState.SUCCEEDED, "It succeeded.", "records")
    cluster.end(JOB, "Failed", "no GPU here", "Job was active longer than specified deadline")
    assert jobs.progress(NAME) == JobProgress(
        JobState.FAILED, "It failed: Job was active longer than specified deadline", "no GPU here"
    )


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (
            {
                "phase": "Pending",
                "conditions": [
                    {"status": "False", "message": "0/3 nodes are available: no nvidia.com/gpu."}
                ],
            },
            "Its pod is pending: 0/3 nodes are available: no nvidia.com/gpu.",
        ),
        (
            {
                "phase": "Pending",
                "containerStatuses": [{"state": {"waiting": {"reason": "ImagePullBackOff"}}}],
            },
            "Its pod is pending: ImagePullBackOff",
        ),
        (
            {"phase": "Running", "containerStatuses": [{"state": {"running": {}}}]},
            "Its pod is running on gpu-1.",
        ),
    ],
)
def test_the_newest_pod_says_where_it_is(status: dict[str, Any], said: str) -> None:
    def pod(second: int, found: dict[str, Any]) -> dict[str, Any]:
        created = {"creationTimestamp": f"2026-01-01T00:00:0{second}Z"}
        return {"metadata": created, "spec": {"nodeName": "gpu-1"}, "status": found}

    pods = [pod(1, {"phase": "Failed"}), pod(2, status), pod(0, {"phase": "Failed"})]
    assert progress_of({"status": {}}, pods) == JobProgress(JobState.UNDER_WAY, said)


def test_a_job_that_is_about_to_fail_is_under_way() -> None:
    conditions = [
        {"type": "FailureTarget", "status": "True"},
        {"type": "Failed", "status": "False"},
    ]
    job = {"status": {"conditions": conditions}}
    assert progress_of(job, []).state is JobState.UNDER_WAY


def test_what_kubernetes_refuses_is_said_with_the_role(
    api: tuple[Cluster, KubernetesJobs],
) -> None:
    cluster, jobs = api
    cluster.fails_with = 403
    with pytest.raises(SettingsError, match=r"403 .*identities\.yaml"):
        jobs.start(JOB)


def test_a_server_that_is_away_or_ails_is_asked_again_later(
    api: tuple[Cluster, KubernetesJobs],
) -> None:
    cluster, jobs = api
    for status in (429, 500, 503):
        cluster.fails_with = status
        with pytest.raises(ServerUnreachableError, match=str(status)):
            jobs.progress(NAME)
    nobody = KubernetesJobs(api_url="http://127.0.0.1:9", namespace="visionops")
    with pytest.raises(ServerUnreachableError):
        nobody.start(JOB)


def test_outside_of_a_pod_it_says_which_job_runs_in_one() -> None:
    with pytest.raises(SettingsError, match="build_engines"):
        KubernetesJobs().start(JOB)
