"""Model tracking and registry: MLflow runs, artifacts, versions, the champion alias.

Not here: the logs of a training, which go by dagster-mlflow (`resources/training_run.py`).
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from visionops_assets.errors import NotFoundError, ServerUnreachableError
from visionops_assets.settings import load_settings, mlflow_page

if TYPE_CHECKING:
    from mlflow import MlflowClient

CHAMPION_ALIAS = "champion"
MODEL_DESCRIPTION = (
    "One version per training. The alias `champion` names the version that serves. Each version "
    "says what it was trained on and what the gate found."
)
# Otherwise MLflow shows the experiment as one with language models.
EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}
VERDICT_HEADING = "### Verdict of the gate"
MODEL_FOLDER = "model"
"""Artifact folder of a run that holds `model.safetensors`, `model.json` and exports."""


class Tracking:
    """An MLflow server. The address comes from the settings."""

    @property
    def _client(self) -> "MlflowClient":
        # MLflow takes seconds to import, so only its users import it.
        from mlflow import MlflowClient  # noqa: PLC0415
        from mlflow.environment_variables import MLFLOW_HTTP_REQUEST_MAX_RETRIES  # noqa: PLC0415

        # By default its retries hide a server that is down for many minutes.
        MLFLOW_HTTP_REQUEST_MAX_RETRIES.set(3)  # type: ignore[no-untyped-call]
        logging.getLogger("mlflow").setLevel(logging.WARNING)
        return MlflowClient(load_settings().mlflow_tracking_uri)

    def create_run(self, experiment: str, name: str, tags: Mapping[str, str]) -> str:
        """Create a run, which counts as RUNNING until `end_run`, and return its id."""
        with reaching():
            client = self._client
            found = client.get_experiment_by_name(experiment)
            experiment_id = (
                found.experiment_id
                if found
                else client.create_experiment(experiment, tags=EXPERIMENT_TAGS)
            )
            return str(client.create_run(experiment_id, tags=dict(tags), run_name=name).info.run_id)

    def rename_run(self, run_id: str, name: str) -> None:
        """Give a run another name."""
        with reaching():
            self._client.update_run(run_id, name=name)

    def run_tags(self, run_id: str) -> dict[str, str]:
        """Return the tags of a run.

        Raises:
            NotFoundError: there is no such run.
        """
        with reaching():
            return dict(self._client.get_run(run_id).data.tags)

    def run_params(self, run_id: str) -> dict[str, str]:
        """Return the parameters of a run as they were logged: as texts.

        Raises:
            NotFoundError: there is no such run.
        """
        with reaching():
            return dict(self._client.get_run(run_id).data.params)

    def end_run(self, run_id: str, status: str) -> None:
        """End a run as FINISHED, FAILED or KILLED."""
        with reaching():
            self._client.set_terminated(run_id, status)

    def end_lost_runs(self, experiment: str, tags: Mapping[str, str]) -> int:
        """End as KILLED every RUNNING run with all of `tags`; return how many there were.

        A process that is killed cannot end its run. The process that repeats its work does so.
        """
        with reaching():
            found = self._client.get_experiment_by_name(experiment)
            lost = found and self._client.search_runs(
                [found.experiment_id],
                " and ".join(["attributes.status = 'RUNNING'", _tagged(tags)]),
            )
            for run in lost or []:
                self._client.set_terminated(run.info.run_id, "KILLED")
            return len(lost or [])

    def run_url(self, run_id: str) -> str:
        """Return the address of a run's page."""
        with reaching():
            experiment_id = self._client.get_run(run_id).info.experiment_id
        return mlflow_page(load_settings(), f"/experiments/{experiment_id}/runs/{run_id}")

    def version_url(self, model_name: str, version: int) -> str:
        """Return the address of a registered version's page."""
        return mlflow_page(load_settings(), f"/models/{model_name}/versions/{version}")

    def register(
        self, model_name: str, run_id: str, tags: Mapping[str, str], description: str = ""
    ) -> int:
        """Register the model of a run as a new version, and return its number."""
        from mlflow.exceptions import MlflowException  # noqa: PLC0415

        with reaching():
            client = self._client
            try:
                client.get_registered_model(model_name)
            except MlflowException as error:
                if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                    raise
                client.create_registered_model(model_name, description=MODEL_DESCRIPTION)
            source = f"{client.get_run(run_id).info.artifact_uri}/{MODEL_FOLDER}"
            version = client.create_model_version(
                model_name,
                source=source,
                run_id=run_id,
                tags=dict(tags),
                description=description,
            )
            return int(version.version)

    def version_run_id(self, model_name: str, version: int) -> str:
        """Return the run that a registered version came from."""
        with reaching():
            return str(self._client.get_model_version(model_name, str(version)).run_id)

    def find_version(self, model_name: str, tags: Mapping[str, str]) -> tuple[int, str] | None:
        """Return the newest version that has all of `tags`, with its run id."""
        with reaching():
            versions = self._client.search_model_versions(
                f"name = '{model_name}' and {_tagged(tags)}", order_by=["version_number DESC"]
            )
        return (int(versions[0].version), str(versions[0].run_id)) if versions else None

    def tag_version(self, model_name: str, version: int, tags: Mapping[str, str]) -> None:
        """Add tags to a registered version."""
        with reaching():
            for key, value in tags.items():
                self._client.set_model_version_tag(model_name, str(version), key, value)

    def tell_verdict(self, model_name: str, version: int, told: str) -> None:
        """Put the gate's verdict at the end of a version's description, replacing an older one."""
        with reaching():
            described = self._client.get_model_version(model_name, str(version)).description or ""
            trained = described.partition(VERDICT_HEADING)[0].rstrip()
            described = f"{trained}\n\n{VERDICT_HEADING}\n{told}".lstrip()
            self._client.update_model_version(model_name, str(version), description=described)

    def champion_version(self, model_name: str) -> int | None:
        """Return the version that the champion alias names, or None."""
        with reaching():
            aliases = self._client.get_registered_model(model_name).aliases
        return int(aliases[CHAMPION_ALIAS]) if CHAMPION_ALIAS in aliases else None

    def set_champion(self, model_name: str, version: int) -> None:
        """Point the champion alias at a version. The catalog's releases remain what counts."""
        with reaching():
            self._client.set_registered_model_alias(model_name, CHAMPION_ALIAS, str(version))

    def log_file(self, run_id: str, path: Path, folder: str = MODEL_FOLDER) -> None:
        """Add a file to the artifacts of a run that may have ended."""
        with reaching():
            self._client.log_artifact(run_id, str(path), folder)

    def download(self, run_id: str, artifact_path: str, to: Path) -> Path:
        """Download one artifact of a run into the folder `to`, and return its path.

        Raises:
            NotFoundError: the run has no such artifact.
        """
        with reaching():
            found = self._client.download_artifacts(run_id, artifact_path, str(to))
        if not Path(found).is_file():
            raise NotFoundError(f"MLflow run {run_id} has no artifact {artifact_path!r}.")
        return Path(found)


def _tagged(tags: Mapping[str, str]) -> str:
    """Write a search condition that holds if all of `tags` are there."""
    return " and ".join(f"tags.`{key}` = '{value}'" for key, value in tags.items())


@contextmanager
def reaching() -> Iterator[None]:
    """Raise MLflow's errors as ours.

    Raises:
        NotFoundError: it has no such thing.
        ServerUnreachableError: it does not answer, or failed.
    """
    from mlflow.exceptions import MlflowException  # noqa: PLC0415

    try:
        yield
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            raise NotFoundError(f"MLflow: {error.message}") from error
        raise ServerUnreachableError(
            f"MLflow at {load_settings().mlflow_tracking_uri} failed: {error.message}"
        ) from error
