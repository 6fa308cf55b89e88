"""The MLflow run of one training: created and ended here, logged to by dagster-mlflow.

dagster-mlflow ends a run only by a hook of the job, continues any run that it finds under the id of
the Dagster run, and unregisters the wrong exit function of MLflow. So its resource lives inside one
block of one asset, with a run that this module creates and ends.
"""

import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np

from visionops_assets.contracts.tensors import TensorSpec
from visionops_assets.resources.tracking import MODEL_FOLDER, Tracking, reaching
from visionops_assets.settings import load_settings

MAX_DIGEST_CHARACTERS = 36
"""Of a dataset in MLflow."""
ANY = -1
"""A dimension of any size, to MLflow."""


class TrainingRun:
    """One open MLflow run."""

    def __init__(self, mlflow: Any, run_id: str) -> None:
        self._mlflow = mlflow
        self.run_id = run_id

    def log_params(self, params: Mapping[str, object]) -> None:
        """Record the values that the training depended on."""
        with reaching():
            self._mlflow.log_params(dict(params))

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Record measured values, at one step of the training."""
        with reaching():
            self._mlflow.log_metrics(dict(metrics), step=step)

    def log_file(self, path: Path, folder: str) -> None:
        """Store a file as an artifact of the run."""
        with reaching():
            self._mlflow.log_artifact(str(path), folder)

    def tag(self, tags: Mapping[str, str]) -> None:
        """Add tags to the run."""
        with reaching():
            for key, value in tags.items():
                self._mlflow.tracking_client.set_tag(self.run_id, key, value)

    def log_dataset(self, name: str, digest: str, source: str, profile: Mapping[str, int]) -> None:
        """Record the dataset that the run trained on: its version, address and counts."""
        from mlflow.entities import Dataset, DatasetInput, InputTag  # noqa: PLC0415

        dataset = Dataset(
            name=name,
            digest=digest[:MAX_DIGEST_CHARACTERS],
            source_type="s3",
            source=json.dumps({"uri": source}),
            profile=json.dumps(dict(profile)),
        )
        used = DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])
        with reaching():
            self._mlflow.tracking_client.log_inputs(self.run_id, [used])

    def log_interface(
        self, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec], to: Path
    ) -> None:
        """Store the model's signature, by way of the file `MLmodel` in the folder `to`."""
        from mlflow.models import Model, ModelSignature  # noqa: PLC0415

        model = Model(
            run_id=self.run_id,
            artifact_path=MODEL_FOLDER,
            signature=ModelSignature(_schema(inputs), _schema(outputs)),
            flavors={"visionops": {"weights": "model.safetensors", "card": "model.json"}},
        )
        model.save(str(to / "MLmodel"))
        self.log_file(to / "MLmodel", MODEL_FOLDER)


def _schema(tensors: Sequence[TensorSpec]) -> Any:
    """Return MLflow's description of tensors for any number of images."""
    from mlflow import types  # noqa: PLC0415

    return types.Schema(
        [
            types.TensorSpec(np.dtype(each.numpy_name), (ANY, *each.dims), each.name)
            for each in tensors
        ]
    )


@contextmanager
def training_run(
    tracking: Tracking,
    context: dg.AssetExecutionContext,
    experiment: str,
    name: str,
    tags: Mapping[str, str],
) -> Iterator[TrainingRun]:
    """Open a run for the length of the block; it ends as FINISHED, or on an error FAILED or KILLED.

    Raises:
        ServerUnreachableError: MLflow does not answer.
    """
    run_id = tracking.create_run(experiment, name, tags)
    try:
        with _resource(context, experiment, run_id) as mlflow:
            # It names the run after the job.
            tracking.rename_run(run_id, name)
            yield TrainingRun(mlflow, run_id)
    except BaseException as error:
        _end(tracking, run_id, "FAILED" if isinstance(error, Exception) else "KILLED")
        raise
    _end(tracking, run_id, "FINISHED")


def _end(tracking: Tracking, run_id: str, status: str) -> None:
    import mlflow  # noqa: PLC0415

    if mlflow.active_run():
        # Otherwise MLflow would end it as FINISHED when the process exits.
        mlflow.end_run(status)
    tracking.end_run(run_id, status)


@contextmanager
def _resource(context: dg.AssetExecutionContext, experiment: str, run_id: str) -> Iterator[Any]:
    """Make dagster-mlflow's resource for a run that exists."""
    config = {
        "experiment_name": experiment,
        "mlflow_tracking_uri": load_settings().mlflow_tracking_uri,
        "mlflow_run_id": run_id,
    }
    with ExitStack() as stack:
        with warnings.catch_warnings(), reaching():
            # It warns that it is a beta, and calls what this Dagster deprecates.
            warnings.simplefilter("ignore", dg.BetaWarning)
            warnings.simplefilter("ignore", DeprecationWarning)
            from dagster_mlflow import mlflow_tracking  # noqa: PLC0415

            made = dg.build_resources(
                {"mlflow": mlflow_tracking},
                instance=context.instance,
                resource_config={"mlflow": {"config": config}},
                dagster_run=context.run,
                log_manager=context.log,
            )
            resources = stack.enter_context(made)
        yield resources.mlflow
