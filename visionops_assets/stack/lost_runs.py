"""Fails the Dagster runs that ended with their code server, so that they are run again.

`python -m visionops_assets.stack.lost_runs`, while no code server runs. Runs are its child
processes, and Dagster's launcher cannot tell that such a process died: the run would count as
started for hours, and keep its place among those that may run at once.
"""

import dagster as dg


def fail_lost_runs(instance: dg.DagsterInstance) -> int:
    """Mark every run that counts as under way as failed; return how many."""
    under_way = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]
    lost = instance.get_runs(dg.RunsFilter(statuses=under_way))
    for run in lost:
        instance.report_run_failed(run, "The process of this run ended with its code server.")
    return len(lost)


if __name__ == "__main__":
    with dg.DagsterInstance.get() as current:
        fail_lost_runs(current)
