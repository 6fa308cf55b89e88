"""Weights and card of a trained model, in the artifacts of its MLflow run.

Tags of the run have their checksums. Runs of earlier versions have none, and are read as they are.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from visionops_assets.contracts import ModelCard
from visionops_assets.errors import DamagedArtifactError
from visionops_assets.releasing.loading import CARD_FILE
from visionops_assets.resources.checksums import sha256_of
from visionops_assets.resources.tracking import MODEL_FOLDER, Tracking

if TYPE_CHECKING:
    # PyTorch takes two seconds to import, and most runs need none.
    from visionops_assets.vision.architectures import EmbeddingNetwork

WEIGHTS_FILE = "model.safetensors"
FILES = (WEIGHTS_FILE, CARD_FILE)


def checksums_in(folder: Path) -> dict[str, str]:
    """Return the tags of a run whose model lies in a folder of this machine."""
    return {_tag_of(name): sha256_of(folder / name) for name in FILES}


def download_model(
    tracking: Tracking, mlflow_run_id: str, folder: Path
) -> tuple["EmbeddingNetwork", ModelCard]:
    """Fetch a trained model into a folder of this machine, and build it.

    Raises:
        NotFoundError: MLflow has no such model.
        DamagedArtifactError: its files are not what was written.
    """
    from safetensors import SafetensorError  # noqa: PLC0415

    from visionops_assets.tasks.running import load_network  # noqa: PLC0415

    paths = {
        name: tracking.download(mlflow_run_id, f"{MODEL_FOLDER}/{name}", folder) for name in FILES
    }
    tags = tracking.run_tags(mlflow_run_id)
    for name, path in paths.items():
        if tags.get(_tag_of(name)) not in {None, sha256_of(path)}:
            raise _damaged(name, mlflow_run_id)
    try:
        card = ModelCard.model_validate_json(paths[CARD_FILE].read_bytes())
    except ValueError as error:
        raise _damaged(CARD_FILE, mlflow_run_id) from error
    try:
        return load_network(paths[WEIGHTS_FILE], card), card
    except (SafetensorError, RuntimeError) as error:  # The latter: of another network.
        raise _damaged(WEIGHTS_FILE, mlflow_run_id) from error


def _tag_of(name: str) -> str:
    return f"sha256/{name}"


def _damaged(name: str, mlflow_run_id: str) -> DamagedArtifactError:
    return DamagedArtifactError(
        f"{name} of MLflow run {mlflow_run_id} is not what was written. Restore the artifact from "
        "a copy. Without one train again; if the run is the champion's, roll back before."
    )
