"""Model tracking and registry: MLflow runs, artifacts, versions, the champion alias.

A thin resource instead of dagster-mlflow: that one keeps its run open in a global across steps and
needs a hook to end it; here a run ends with its block, also by an error. Only a killed process
leaves its run RUNNING.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg

from visionops_assets.errors import NotFoundError, ServerUnreachableError
from visionops_assets.settings import load_settings

if TYPE_CHECKING:
    from mlflow import MlflowClient

CHAMPION_ALIAS = "champion"
MODEL_FOLDER = "model"
"""Artifact folder of a run that holds `model.safetensors`, `model.json` and exports."""


class TrackingRun:
    """One open MLflow run."""

    def __init__(self, client: "MlflowClient", run_id: str) -> None:
        self._client = client
        self.run_id = run_id

    def log_params(self, params: Mapping[str, object]) -> None:
        """Record what the run was given."""
        for name, value in params.items():
            self._client.log_param(self.run_id, name, value)

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Record measured values, at one step (an epoch)."""
        for name, value in metrics.items():
            self._client.log_metric(self.run_id, name, value, step=step)

    def log_file(self, path: Path, folder: str) -> None:
        """Store a file as an artifact of the run."""
        self._client.log_artifact(self.run_id, str(path), folder)


class Tracking(dg.ConfigurableResource["Tracking"]):
    """An MLflow server. The address comes from the settings."""

    @property
    def _client(self) -> "MlflowClient":
        # MLflow takes seconds to import: only those who use it pay.
        from mlflow import MlflowClient  # noqa: PLC0415
        from mlflow.environment_variables import MLFLOW_HTTP_REQUEST_MAX_RETRIES  # noqa: PLC0415

        # By default its retries hide a server that is down for many minutes.
        MLFLOW_HTTP_REQUEST_MAX_RETRIES.set(3)  # type: ignore[no-untyped-call]
        logging.getLogger("mlflow").setLevel(logging.WARNING)
        return MlflowClient(load_settings().mlflow_tracking_uri)

    @contextmanager
    def run(self, experiment: str, tags: Mapping[str, str]) -> Iterator[TrackingRun]:
        """Open a run for the length of the block: FINISHED at its end, FAILED on an error."""
        with _reaching():
            client = self._client
            found = client.get_experiment_by_name(experiment)
            experiment_id = found.experiment_id if found else client.create_experiment(experiment)
            run = client.create_run(experiment_id, tags=dict(tags))
        try:
            yield TrackingRun(client, run.info.run_id)
        except BaseException:
            client.set_terminated(run.info.run_id, "FAILED")
            raise
        client.set_terminated(run.info.run_id, "FINISHED")

    def register(self, model_name: str, run_id: str, tags: Mapping[str, str]) -> int:
        """Register the model of a run as a new version, and return its number."""
        from mlflow.exceptions import MlflowException  # noqa: PLC0415

        with _reaching():
            client = self._client
            try:
                client.get_registered_model(model_name)
            except MlflowException as error:
                if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                    raise
                client.create_registered_model(model_name)
            source = f"{client.get_run(run_id).info.artifact_uri}/{MODEL_FOLDER}"
            version = client.create_model_version(
                model_name, source=source, run_id=run_id, tags=dict(tags)
            )
            return int(version.version)

    def version_run_id(self, model_name: str, version: int) -> str:
        """Run that a registered version came from."""
        with _reaching():
            return str(self._client.get_model_version(model_name, str(version)).run_id)

    def find_version(self, model_name: str, tags: Mapping[str, str]) -> tuple[int, str] | None:
        """Newest version that carries all of `tags`, with its run id."""
        conditions = " and ".join(f"tags.`{key}` = '{value}'" for key, value in tags.items())
        with _reaching():
            versions = self._client.search_model_versions(
                f"name = '{model_name}' and {conditions}", order_by=["version_number DESC"]
            )
        return (int(versions[0].version), str(versions[0].run_id)) if versions else None

    def tag_version(self, model_name: str, version: int, tags: Mapping[str, str]) -> None:
        """Add tags to a registered version."""
        with _reaching():
            for key, value in tags.items():
                self._client.set_model_version_tag(model_name, str(version), key, value)

    def set_champion(self, model_name: str, version: int) -> None:
        """Point the champion alias at a version. The catalog's releases stay the truth."""
        with _reaching():
            self._client.set_registered_model_alias(model_name, CHAMPION_ALIAS, str(version))

    def log_file(self, run_id: str, path: Path, folder: str = MODEL_FOLDER) -> None:
        """Add a file to the artifacts of a run that may have ended."""
        with _reaching():
            self._client.log_artifact(run_id, str(path), folder)

    def download(self, run_id: str, artifact_path: str, to: Path) -> Path:
        """Fetch one artifact of a run into the folder `to`, and return its path.

        Raises:
            NotFoundError: the run has no such artifact.
        """
        with _reaching():
            found = self._client.download_artifacts(run_id, artifact_path, str(to))
        if not Path(found).is_file():
            raise NotFoundError(f"MLflow run {run_id} has no artifact {artifact_path!r}.")
        return Path(found)


@contextmanager
def _reaching() -> Iterator[None]:
    from mlflow.exceptions import MlflowException  # noqa: PLC0415

    try:
        yield
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            raise NotFoundError(f"MLflow: {error.message}") from error
        raise ServerUnreachableError(
            f"MLflow at {load_settings().mlflow_tracking_uri} failed: {error.message}"
        ) from error
