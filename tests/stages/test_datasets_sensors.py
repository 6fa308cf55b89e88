"""Which runs make a snapshot wait: no two are pending."""

import dagster as dg
import pytest
from dagster._core.test_utils import create_run_for_test

from tests.defined import step_of
from visionops_assets.stages.datasets.sensors import what_is_under_way

UNDER_WAY = [dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTED]


@pytest.mark.parametrize("status", UNDER_WAY)
@pytest.mark.parametrize("is_awaited", [False, True])
def test_a_snapshot_waits_for_the_one_before(status: dg.DagsterRunStatus, is_awaited: bool) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        create_run_for_test(instance, job_name=step_of("build_dataset"), status=status)
        assert "A snapshot is being cut" in (
            what_is_under_way(instance, "classifier", is_awaited) or ""
        )


@pytest.mark.parametrize("status", UNDER_WAY)
def test_a_snapshot_waits_for_a_training_unless_it_was_decided_on(
    status: dg.DagsterRunStatus,
) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        create_run_for_test(instance, job_name=step_of("train_and_release"), status=status)
        assert "A training is under way" in (what_is_under_way(instance, "classifier", False) or "")
        assert what_is_under_way(instance, "classifier", True) is None


def test_nothing_waits_for_what_has_ended() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        for job in (step_of("build_dataset"), step_of("train_and_release")):
            create_run_for_test(instance, job_name=job, status=dg.DagsterRunStatus.CANCELED)
        create_run_for_test(instance, status=dg.DagsterRunStatus.STARTED)
        assert what_is_under_way(instance, "classifier", False) is None
