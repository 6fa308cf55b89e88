"""Nodes of a trace: where their pages are."""

from datetime import UTC, datetime

from visionops_assets.catalog.schema import TrainedVersion
from visionops_assets.lineage.nodes import MlflowRun, node_of

MOMENT = datetime(2026, 1, 31, tzinfo=UTC)


def version(run_id: str | None) -> TrainedVersion:
    return TrainedVersion(
        model_name="classifier",
        model_version=8,
        snapshot_id="ds-1",
        mlflow_run_id=run_id,
        dagster_run_id=None,
        registered_at=MOMENT,
    )


def test_a_version_leads_to_its_mlflow_run() -> None:
    links = node_of(version("4f0c"), {}).links
    assert links["MLflow"].endswith("/#/models/classifier/versions/8?workflowType=machine_learning")
    assert links["MLflow run"].endswith("/#/runs/4f0c?workflowType=machine_learning")
    run = node_of(MlflowRun(version("4f0c")), {})
    assert (run.id, run.links) == ("4f0c", {"MLflow": links["MLflow run"]})


def test_a_version_of_before_has_no_run_to_lead_to() -> None:
    assert set(node_of(version(None), {}).links) == {"MLflow"}
