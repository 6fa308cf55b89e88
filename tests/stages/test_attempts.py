"""When work that failed is asked for again."""

import time
from collections.abc import Iterator

import dagster as dg
import pytest
from dagster._core.test_utils import create_run_for_test

from visionops_assets.stages.attempts import (
    FIRST_BACK_OFF_S,
    MAX_ATTEMPTS,
    MAX_BACK_OFF_S,
    due_attempt,
)

TAGS = {"visionops/work": "snapshot-1"}
FAILED = dg.DagsterRunStatus.FAILURE


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
