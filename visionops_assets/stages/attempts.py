"""When work that failed is asked for again, and which work is not done twice at a time.

Dagster never repeats a run key, not even of a run that failed. So each attempt has a key of its
own, and the tags of the runs say how many there were. Runs whose worker died are retried by
Dagster itself (`run_retries` in dagster.yaml), under the same tags.
"""

from collections.abc import Mapping

import dagster as dg

EXCLUSIVE_TAG = "visionops/exclusive"
"""Runs with an equal value of this tag wait for each other (`concurrency` in dagster.yaml)."""
PRIORITY_TAG = "dagster/priority"
"""Of runs that wait, those with the greatest value start first; 0 is the default."""
MAX_ATTEMPTS = 30
FIRST_BACK_OFF_S = 30.0
MAX_BACK_OFF_S = 600.0


def one_ahead(job_name: str) -> dict[str, str]:
    """Return tags of a job that runs once at a time, ahead of what else waits for a slot.

    For what a repair is made by: new media may come for hours, while the model is wrong.
    """
    return {EXCLUSIVE_TAG: job_name, PRIORITY_TAG: "1"}


def due_attempt(instance: dg.DagsterInstance, tags: Mapping[str, str], now_s: float) -> int | None:
    """Return how many runs with these tags there were, if another is due; else None.

    None is due while one is unfinished, once one succeeded, within a back-off that doubles with
    each failure, and after `MAX_ATTEMPTS`, when a person must look.
    """
    records = instance.get_run_records(dg.RunsFilter(tags=dict(tags)), limit=MAX_ATTEMPTS)
    runs = [record.dagster_run for record in records]
    if len(runs) == MAX_ATTEMPTS or any(run.is_success or not run.is_finished for run in runs):
        return None
    if runs:
        last_end_s = max(record.end_time or 0.0 for record in records)
        back_off_s = min(FIRST_BACK_OFF_S * 2 ** (len(runs) - 1), MAX_BACK_OFF_S)
        if now_s < last_end_s + back_off_s:
            return None
    return len(runs)
