import json
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from visionops_assets.contracts import ModelCard, PreprocessingSpec
from visionops_assets.errors import NotFoundError, ReleaseError
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.settings import Settings
from visionops_assets.stages.serving.repository import (
    ModelRepository,
    config_as_json,
    pipeline_files,
)

TEMPLATES = Settings.model_fields["project_root"].default / "triton_models" / "classifier"
FILES = {"model.onnx": b"weights", "model.json": b"{}", "config.pbtxt": b"name: 'm'"}


class MemoryStore:
    """The object store as a dictionary; notes the order of writes."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.written: list[str] = []

    def put(self, key: str, data: bytes) -> None:
        self.objects[key] = data
        self.written.append(key)

    def create(self, key: str, data: bytes) -> None:
        assert key not in self.objects
        self.put(key, data)

    def get(self, key: str) -> bytes:
        if key not in self.objects:
            raise NotFoundError(key)
        return self.objects[key]

    def delete(self, key: str) -> None:
        self.objects.pop(key, None)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def repository(store: MemoryStore) -> ModelRepository:
    return ModelRepository(cast("ObjectStore", store), "m")


def card(classes: tuple[str, ...]) -> ModelCard:
    return ModelCard(
        architecture="a",
        classes=classes,
        embedding_size=96,
        spec=PreprocessingSpec(),
        mean=(0, 0, 0),
        std=(1, 1, 1),
        snapshot_id="s",
        seed=0,
    )


@given(st.lists(st.text(min_size=1), min_size=2, max_size=5, unique=True))
def test_class_names_survive_the_configuration(classes: list[str]) -> None:
    config = pipeline_files(TEMPLATES, "m", 3, card(tuple(classes)))["config.pbtxt"]
    parsed = json.loads(config_as_json(config, "m"))
    assert json.loads(parsed["parameters"]["classes"]["string_value"]) == classes


def test_the_configuration_pins_the_version_and_the_shapes() -> None:
    files = pipeline_files(TEMPLATES, "digits", 12, card(("a", "b", "c")))
    parsed = json.loads(config_as_json(files["config.pbtxt"], "digits-rehearsal"))
    assert parsed["name"] == "digits-rehearsal"
    assert parsed["version_policy"] == {"specific": {"versions": ["12"]}}
    dims = {output["name"]: output["dims"] for output in parsed["output"]}
    assert dims == {
        "LABEL": ["1"],
        "PROBABILITIES": ["3"],
        "EMBEDDING": ["96"],
        "PREDICTION_ID": ["1"],
        "MODEL_VERSION": ["1"],
    }
    assert {"model.py", "recorder.py"} <= files.keys()


def test_a_configuration_that_does_not_parse_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.pbtxt.j2").write_text("nonsense: {")
    with pytest.raises(ReleaseError, match="does not parse"):
        pipeline_files(tmp_path, "m", 1, card(("a", "b")))


def test_a_folder_reads_back_and_its_manifest_is_written_last(
    repository: ModelRepository, store: MemoryStore
) -> None:
    assert repository.publish(1, FILES) == FILES
    assert store.written[-1] == "triton/m/1/manifest.json"


def test_what_a_failed_release_left_is_replaced(
    repository: ModelRepository, store: MemoryStore
) -> None:
    repository.publish(1, FILES)
    first = repository.manifest_sha256(1)
    changed = FILES | {"model.onnx": b"other weights"}
    assert repository.publish(1, changed) == changed
    assert repository.manifest_sha256(1) != first


def test_a_folder_without_a_manifest_is_not_complete(
    repository: ModelRepository, store: MemoryStore
) -> None:
    repository.publish(1, FILES)
    store.delete("triton/m/1/manifest.json")
    with pytest.raises(ReleaseError, match="not complete"):
        repository.read(1)


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_named(
    repository: ModelRepository, store: MemoryStore, name: str
) -> None:
    repository.publish(1, FILES)
    store.put(f"triton/m/1/{name}", b"damaged")
    with pytest.raises(ReleaseError, match=name):
        repository.read(1)
