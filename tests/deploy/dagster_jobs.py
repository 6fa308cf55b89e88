"""The Jobs that dagster-k8s makes of a run and of its step, with the instance of the manifests.

No cluster is asked: what would be sent to it is kept. The run is one of `one_step`,
since the Jobs of all runs differ in no word that is started.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import kubernetes  # type: ignore[import-untyped]
import pytest
import yaml
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.definitions.reconstruct import ReconstructableJob, ReconstructableRepository
from dagster._core.execution.api import create_execution_plan
from dagster._core.execution.context.system import PlanData, PlanOrchestrationContext
from dagster._core.execution.retries import RetryMode
from dagster._core.executor.init import InitExecutorContext
from dagster._core.executor.step_delegating import StepHandlerContext
from dagster._core.launcher import LaunchRunContext
from dagster._core.log_manager import DagsterLogManager
from dagster._core.origin import DEFAULT_DAGSTER_ENTRY_POINT
from dagster._core.system_config.objects import ResolvedRunConfig
from dagster._grpc.types import ExecuteStepArgs

from tests.deploy.manifests import Manifest
from tests.deploy.one_step import one_step, only_step

ROOT = Path(__file__).parents[2]
MODULE = "tests.deploy.one_step"


class NoCluster:
    """Takes the Jobs that a cluster would be told to make."""

    def __init__(self) -> None:
        self.jobs: list[Manifest] = []

    def create_namespaced_job(self, body: Any, **_: object) -> None:
        """Keep a Job as it would be sent."""
        self.jobs.append(kubernetes.client.ApiClient().sanitize_for_serialization(body))


@contextmanager
def launched(
    launcher_config: dict[str, Any], image: str, folder: Path, patch: pytest.MonkeyPatch
) -> Iterator[tuple[dg.DagsterInstance, NoCluster, dg.DagsterRun]]:
    """Launch a run of `one_step` by this configuration of the launcher; yield what came of it.

    Storage is in `folder`, the rest as the manifests have it.
    """
    cluster = NoCluster()
    patch.setattr("dagster_k8s.launcher.load_kubernetes_config", lambda **_: None)
    patch.setattr("kubernetes.config.load_incluster_config", lambda: None)
    patch.setattr("kubernetes.client.BatchV1Api", lambda **_: cluster)
    launcher = {"module": "dagster_k8s", "class": "K8sRunLauncher", "config": launcher_config}
    (folder / "dagster.yaml").write_text(yaml.safe_dump({"run_launcher": launcher}))
    with dg.DagsterInstance.from_config(str(folder)) as instance:
        origin = _reconstructable(image).get_python_origin()
        run = instance.create_run_for_job(one_step, job_code_origin=origin)
        instance.run_launcher.launch_run(LaunchRunContext(dagster_run=run, workspace=None))
        yield instance, cluster, run


def launch_step(
    instance: dg.DagsterInstance, image: str, run: dg.DagsterRun, executor: dg.ExecutorDefinition
) -> None:
    """Launch the step as the run's pod does, by the executor that the definitions chose."""
    job = _reconstructable(image)
    plan = create_execution_plan(one_step)
    config = ResolvedRunConfig.build(one_step.with_executor_def(executor))
    context = InitExecutorContext(job, executor, config.execution.execution_engine_config, instance)
    assert executor.executor_creation_fn is not None
    made: Any = executor.executor_creation_fn(context)
    of_step = StepHandlerContext(
        instance=instance,
        plan_context=PlanOrchestrationContext(
            PlanData(job, run, instance, plan, True, RetryMode.DISABLED),
            DagsterLogManager.create(loggers=[], dagster_run=run),
            made,
            None,
        ),
        steps=plan.steps,  # type: ignore[arg-type]
        execute_step_args=ExecuteStepArgs(
            job.get_python_origin(),
            run.run_id,
            [only_step.name],
            instance.get_ref(),
            print_serialized_events=False,
        ),
        dagster_run=run,
    )
    list(made._step_handler.launch_step(of_step))


def _reconstructable(image: str) -> ReconstructableJob:
    """Say where the job is, as a code server that was started by the manifest's words does."""
    repository = ReconstructableRepository(
        ModuleCodePointer(MODULE, "definitions", str(ROOT)),
        container_image=image,
        entry_point=DEFAULT_DAGSTER_ENTRY_POINT,
    )
    return repository.get_reconstructable_job(one_step.name)
