"""A job of one step, which tests run as pods would: each imports this, and little else."""

import dagster as dg
from dagster_k8s import k8s_job_executor


@dg.op
def only_step() -> None:
    """Do nothing."""


@dg.job(executor_def=k8s_job_executor)
def one_step() -> None:
    """Have one step."""
    only_step()


definitions = dg.Definitions(jobs=[one_step])
