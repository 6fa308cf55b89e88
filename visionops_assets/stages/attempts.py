"""When work that failed is asked for again, and which work waits for which.

Dagster never repeats a run key, not even of a run that failed. So each attempt has a key of its
own, and the tags of the runs say how many there were. Runs whose worker died are retried by
Dagster itself (`run_retries` in dagster.yaml), under the same tags.

The slots of the queue are shared out among cutting, training, watching and media, so that none of
them waits for another. Of a model, one run cuts or trains at a time, and no two are asked for; so
models take turns, in the order in which they asked.
"""

from collections.abc import Mapping

import dagster as dg
from dagster._core.storage.tags import MAX_RUNTIME_SECONDS_TAG

EXCLUSIVE_TAG = "visionops/exclusive"
"""Runs with an equal value of this tag wait for each other (`concurrency` in dagster.yaml)."""
SHARE_TAG = "visionops/share"
"""Names the work of a run: dagster.yaml says how many runs of each may go on at a time."""
PRIORITY_TAG = "dagster/priority"
"""Waiting runs with the greatest value start first; 0 is the default."""
BUILD_DATASET = "build_dataset"
TRAIN_AND_RELEASE = "train_and_release"
TRAINING_MAX_RUNTIME_S = 7 * 86_400
"""Of a run that trains: it ends by its budget. What hangs beyond a week gives its place back."""
WATCHING_MAX_RUNTIME_S = 1800
"""Of a run that measures, which takes seconds: one that hangs must not keep others waiting."""


def cutting(model_name: str) -> dict[str, str]:
    """Return the tags of the job that cuts a model's snapshots.

    Like the tags of the job that trains on them: they run once at a time per model, since a
    candidate is compared with one champion, and ahead of media, that may come for hours while the
    model is wrong. A snapshot comes before a training that waits: that may be of an older one, and
    end at its start.
    """
    return {EXCLUSIVE_TAG: f"learning {model_name}", SHARE_TAG: "cutting", PRIORITY_TAG: "2"}


def training(model_name: str) -> dict[str, str]:
    """Return the tags of the job that trains and releases a model."""
    return {
        EXCLUSIVE_TAG: f"learning {model_name}",
        SHARE_TAG: "training",
        PRIORITY_TAG: "1",
        MAX_RUNTIME_SECONDS_TAG: str(TRAINING_MAX_RUNTIME_S),
    }


def judging_labels(model_name: str) -> dict[str, str]:
    """Return the tags of the job that finds a model's label errors, in turns with its trainings."""
    return {
        EXCLUSIVE_TAG: f"learning {model_name}",
        SHARE_TAG: "training",
        PRIORITY_TAG: "1",
        MAX_RUNTIME_SECONDS_TAG: str(WATCHING_MAX_RUNTIME_S),
    }


WATCHING = {
    EXCLUSIVE_TAG: "watching",
    PRIORITY_TAG: "1",
    MAX_RUNTIME_SECONDS_TAG: str(WATCHING_MAX_RUNTIME_S),
}
"""Tags of the jobs that measure: media that wait must not hide that a model is wrong. They run one
at a time, since those of all models take predictions from one queue."""
MEDIA = {SHARE_TAG: "media"}
SUPERSEDED_TAG = "visionops/superseded_by"
"""On a run that did nothing since its snapshot was no longer the newest: the id of that one."""
_ENDED = (
    dg.DagsterRunStatus.SUCCESS,
    dg.DagsterRunStatus.FAILURE,
    dg.DagsterRunStatus.CANCELED,
)
UNDER_WAY = tuple(status for status in dg.DagsterRunStatus if status not in _ENDED)
MAX_ATTEMPTS = 30
FIRST_BACK_OFF_S = 30.0
MAX_BACK_OFF_S = 600.0


def is_under_way(instance: dg.DagsterInstance, job_name: str) -> bool:
    """Say whether a run of a job waits or runs."""
    wanted = dg.RunsFilter(job_name=job_name, statuses=list(UNDER_WAY))
    return bool(instance.get_runs(wanted, limit=1))


def was_cancelled(instance: dg.DagsterInstance, job_name: str) -> bool:
    """Say whether a person cancelled the newest run of a job."""
    newest = instance.get_runs(dg.RunsFilter(job_name=job_name), limit=1)
    return bool(newest) and _is_cancelled(newest[0])


def due_attempt(instance: dg.DagsterInstance, tags: Mapping[str, str], now_s: float) -> int | None:
    """Return how many runs with these tags there were, if another is due; else None.

    None is due while one is unfinished, once one did the work, within a back-off that doubles with
    each failure, after `MAX_ATTEMPTS`, when a person must look, and after a person cancelled the
    newest one: whoever did that starts the next.
    """
    records = instance.get_run_records(dg.RunsFilter(tags=dict(tags)), limit=MAX_ATTEMPTS)
    runs = [record.dagster_run for record in records]
    if len(runs) == MAX_ATTEMPTS or any(_did_it(run) or not run.is_finished for run in runs):
        return None
    if runs and _is_cancelled(runs[0]):
        return None
    if runs:
        last_end_s = max(record.end_time or 0.0 for record in records)
        back_off_s = min(FIRST_BACK_OFF_S * 2 ** (len(runs) - 1), MAX_BACK_OFF_S)
        if now_s < last_end_s + back_off_s:
            return None
    return len(runs)


def _did_it(run: dg.DagsterRun) -> bool:
    return run.is_success and SUPERSEDED_TAG not in run.tags


def _is_cancelled(run: dg.DagsterRun) -> bool:
    """Say whether a run was cancelled: by a person alone, since what is lost or too long fails."""
    return run.status is dg.DagsterRunStatus.CANCELED
