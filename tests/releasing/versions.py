"""Version folders as a release makes them, of one model or of an ensemble; signed in memory."""

from typing import cast

from tests.resources.memory_store import MemoryStore
from visionops_assets.releasing.golden import GoldenSet
from visionops_assets.releasing.repository import ModelRepository
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.tasks.base import Answer

STEPS = ("preprocess", "infer", "record")


def one_model(version: int) -> dict[str, bytes]:
    """One model that does all steps."""
    return {
        "config.pbtxt": b"name: 'm' version_policy { specific { versions: [%d] } }" % version,
        "model.onnx": b"weights %d" % version,
        "model.json": b"{}",
        "model.py": b"fused",
        "served.py": b"shared",
        "golden.json": b"{}",
    }


def ensemble(version: int, model: str = "m") -> dict[str, bytes]:
    """An ensemble of three steps."""
    files = one_model(version)
    del files["model.py"]
    for step in STEPS:
        files[f"{step}.pbtxt"] = f"name: '{model}-{version}-{step}'".encode()
        files[f"{step}.py"] = step.encode()
    return files


def steps_of_version(version: int, model: str = "m") -> set[str]:
    return {f"{model}-{version}-{step}" for step in STEPS}


def repository_in(store: MemoryStore, model: str = "m") -> ModelRepository:
    return ModelRepository(cast("ObjectStore", store), model)


def golden(**label_by_image: str) -> GoldenSet:
    """Images whose content is their name, and the label of each."""
    return GoldenSet(
        images=tuple(image.encode() for image in label_by_image),
        answers=tuple(Answer((label,)) for label in label_by_image.values()),
        task="classification",
    )
