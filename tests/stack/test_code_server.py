import dagster as dg
from dagster._core.storage.tags import GRPC_INFO_TAG
from dagster._core.test_utils import create_run_for_test

from visionops_assets.stack.code_server import fail_lost_runs

Status = dg.DagsterRunStatus


def test_runs_under_way_are_failed_and_no_others() -> None:
    expected = {
        Status.STARTING: Status.FAILURE,
        Status.STARTED: Status.FAILURE,
        Status.SUCCESS: Status.SUCCESS,
        Status.CANCELED: Status.CANCELED,
    }
    with dg.DagsterInstance.ephemeral() as instance:
        runs = {status: create_run_for_test(instance, status=status) for status in expected}
        assert fail_lost_runs(instance) == 2
        for status, run in runs.items():
            found = instance.get_run_by_id(run.run_id)
            assert found is not None
            assert found.status is expected[status]
        assert fail_lost_runs(instance) == 0


def test_runs_of_an_attached_server_go_on() -> None:
    """`dagster dev` beside the stack has its own server, and the storage in common."""
    tags = {GRPC_INFO_TAG: '{"host": "localhost", "socket": "/tmp/a"}'}
    with dg.DagsterInstance.ephemeral() as instance:
        run = create_run_for_test(instance, status=Status.STARTED, tags=tags)
        assert fail_lost_runs(instance) == 0
        found = instance.get_run_by_id(run.run_id)
        assert found is not None
        assert found.status is Status.STARTED
