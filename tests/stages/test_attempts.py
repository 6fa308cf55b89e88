"""When work that failed is asked for again."""

import time
from collections.abc import Iterator
from datetime import timedelta

import dagster as dg
import pytest
from dagster._core.test_utils import create_run_for_test

from visionops_assets.stages.attempts import (
    FIRST_BACK_OFF_S,
    MAX_ATTEMPTS,
    MAX_BACK_OFF_S,
    SUPERSEDED_TAG,
    UNDER_WAY,
    due_attempt,
    is_under_way,
    training,
    was_cancelled,
)

TAGS = {"visionops/work": "snapshot-1"}
FAILED = dg.DagsterRunStatus.FAILURE
FINISHED = {FAILED, dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.CANCELED}


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def add_runs(instance: dg.DagsterInstance, *statuses: dg.DagsterRunStatus) -> None:
    for status in statuses:
        create_run_for_test(instance, status=status, tags=TAGS)


def test_work_that_was_never_tried_is_due_at_once(instance: dg.DagsterInstance) -> None:
    create_run_for_test(instance, status=FAILED, tags={"visionops/work": "another"})
    assert due_attempt(instance, TAGS, now_s=0) == 0


@pytest.mark.parametrize(
    "status",
    [dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.SUCCESS],
)
def test_work_under_way_or_done_is_not_due(
    instance: dg.DagsterInstance, status: dg.DagsterRunStatus
) -> None:
    add_runs(instance, FAILED, status)
    assert due_attempt(instance, TAGS, now_s=time.time() + 10 * MAX_BACK_OFF_S) is None


def test_failures_are_followed_by_a_growing_wait(instance: dg.DagsterInstance) -> None:
    """Runs that never started have no end: their wait counts from the beginning of time."""
    for failures, wait_s in [(1, 30.0), (2, 60.0), (3, 120.0), (6, MAX_BACK_OFF_S)]:
        missing = failures - len(instance.get_runs())
        add_runs(instance, *[FAILED] * missing)
        assert due_attempt(instance, TAGS, now_s=wait_s - 1) is None
        assert due_attempt(instance, TAGS, now_s=wait_s + 1) == failures
    assert FIRST_BACK_OFF_S == 30.0


def test_after_many_failures_a_person_must_look(instance: dg.DagsterInstance) -> None:
    add_runs(instance, *[FAILED] * MAX_ATTEMPTS)
    assert due_attempt(instance, TAGS, now_s=time.time() + 10 * MAX_BACK_OFF_S) is None


def test_what_a_person_cancelled_is_not_asked_for_again(instance: dg.DagsterInstance) -> None:
    add_runs(instance, FAILED, dg.DagsterRunStatus.CANCELED)
    assert due_attempt(instance, TAGS, now_s=time.time() + 10 * MAX_BACK_OFF_S) is None


def test_what_a_person_started_after_cancelling_is_tried_again(
    instance: dg.DagsterInstance,
) -> None:
    add_runs(instance, dg.DagsterRunStatus.CANCELED, FAILED)
    assert due_attempt(instance, TAGS, now_s=time.time() + 10 * MAX_BACK_OFF_S) == 2


def test_a_run_that_was_superseded_did_not_do_the_work(instance: dg.DagsterInstance) -> None:
    superseded = TAGS | {SUPERSEDED_TAG: "another"}
    create_run_for_test(instance, status=dg.DagsterRunStatus.SUCCESS, tags=superseded)
    assert due_attempt(instance, TAGS, now_s=time.time() + MAX_BACK_OFF_S) == 1


def test_a_job_is_under_way_until_its_runs_have_ended(instance: dg.DagsterInstance) -> None:
    create_run_for_test(instance, job_name="another", status=dg.DagsterRunStatus.STARTED)
    for status in FINISHED:
        create_run_for_test(instance, job_name="asked", status=status)
    assert not is_under_way(instance, "asked")
    create_run_for_test(instance, job_name="asked", status=dg.DagsterRunStatus.CANCELING)
    assert is_under_way(instance, "asked")
    assert set(UNDER_WAY) == set(dg.DagsterRunStatus) - FINISHED


def test_the_newest_run_tells_whether_a_job_was_cancelled(instance: dg.DagsterInstance) -> None:
    assert not was_cancelled(instance, "asked")
    create_run_for_test(instance, job_name="asked", status=dg.DagsterRunStatus.CANCELED)
    create_run_for_test(instance, job_name="another", status=dg.DagsterRunStatus.SUCCESS)
    assert was_cancelled(instance, "asked")
    create_run_for_test(instance, job_name="asked", status=dg.DagsterRunStatus.NOT_STARTED)
    assert not was_cancelled(instance, "asked")


def test_a_training_that_hangs_gives_its_place_back_after_a_week() -> None:
    assert int(training("classifier")["dagster/max_runtime"]) == timedelta(weeks=1).total_seconds()
