"""Starts the Jobs that build engines, awaits them, and reads their results.

A Job is named by what it builds and by the result before, so a run that died finds its Job again,
and none is started twice. Its result is noted once it ended.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from visionops_assets.catalog.engines import EngineState
from visionops_assets.catalog.schema import EngineRow
from visionops_assets.errors import ServerUnreachableError, SettingsError
from visionops_assets.models import ModelDeclaration
from visionops_assets.releasing.engines import RECORDS, EngineRecord
from visionops_assets.resources.kubernetes_jobs import JobProgress, JobState, KubernetesJobs
from visionops_assets.settings import Settings
from visionops_assets.stages.serving.engine_job import engine_job

POLL_S = 5.0
MESSAGE_TAIL = 500
"""Characters of a builder's last words that are noted."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class BuildResult:
    """The result of one Job."""

    state: EngineState
    reason: str = ""
    record: EngineRecord | None = None


def recipe_of(settings: Settings, model: ModelDeclaration) -> str:
    """Name what decides about an engine beside weights and GPU: the builder and the precision.

    Raises:
        SettingsError: no image is named that could build it.
    """
    if not settings.k8s_trainer_image:
        raise SettingsError(
            "VISIONOPS_ENGINE_GPUS names kinds of GPU, and VISIONOPS_K8S_TRAINER_IMAGE no image "
            "that builds engines for them. Set it to that of deploy/images/trainer.Dockerfile."
        )
    return f"{settings.k8s_trainer_image} {model.serving.engine_precision}"


def is_missing(row: EngineRow | None, recipe: str, *, again: bool = False) -> bool:
    """Say whether an engine is to be built: never built so, or failed by a fault.

    `again` counts those that were built and do not serve: it is a person who asks for them.
    """
    if row is None or row.recipe != recipe or row.state == EngineState.FAILED:
        return True
    return again and row.state in {EngineState.UNUSABLE, EngineState.REFUSED}


def missing(
    settings: Settings,
    model: ModelDeclaration,
    rows: Mapping[str, EngineRow],
    *,
    again: bool = False,
) -> dict[str, str]:
    """Return the kinds of GPU whose engine is to be built, each with when it last ended."""
    recipe = recipe_of(settings, model)
    return {
        gpu: row.updated_at.isoformat() if (row := rows.get(gpu)) else ""
        for gpu in settings.gpu_kinds
        if is_missing(rows.get(gpu), recipe, again=again)
    }


def job_of(
    settings: Settings, model: ModelDeclaration, model_version: int, gpu: str, after: str
) -> dict[str, Any]:
    """Return the Job that builds an engine on a kind of GPU; `after` names the result before."""
    return engine_job(
        model.name,
        model_version,
        settings.k8s_trainer_image,
        gpu_product=gpu,
        precision=model.serving.engine_precision,
        after=after,
    )


def build_all(
    jobs: KubernetesJobs, job_by_gpu: Mapping[str, dict[str, Any]], say: Say
) -> Iterator[tuple[str, BuildResult]]:
    """Start a Job per kind of GPU, say how far each is when that changes, and yield each result.

    While Kubernetes does not answer it goes on asking: the Jobs go on, too.
    """
    names = {gpu: job["metadata"]["name"] for gpu, job in job_by_gpu.items()}
    for gpu, job in job_by_gpu.items():
        jobs.start(job)
        say(f"{gpu}: Job {names[gpu]} builds its engine.")
    said: dict[str, str] = {}
    while names:
        for gpu, name in list(names.items()):
            progress = _progress(jobs, name)
            if said.get(gpu) != progress.said:
                say(f"{gpu}: {progress.said}")
                said[gpu] = progress.said
            if progress.state is not JobState.UNDER_WAY:
                del names[gpu]
                yield gpu, result_of(progress)
        if names:
            time.sleep(POLL_S)


def result_of(progress: JobProgress) -> BuildResult:
    """Read the result of a Job that ended, by the records that its builder left."""
    try:
        (record,) = RECORDS.validate_json(progress.message)
    except (ValidationError, ValueError):
        words = progress.message.strip()[-MESSAGE_TAIL:]
        return BuildResult(EngineState.FAILED, f"{progress.said} {words}".strip())
    if not record.report.usable:
        return BuildResult(EngineState.UNUSABLE, "; ".join(record.report.shortfalls), record)
    return BuildResult(EngineState.READY, record=record)


def _progress(jobs: KubernetesJobs, name: str) -> JobProgress:
    try:
        return jobs.progress(name)
    except ServerUnreachableError as error:
        return JobProgress(JobState.UNDER_WAY, str(error))
