from typing import cast

import pytest

from tests.stages.memory_store import MemoryStore
from visionops_assets.errors import ReleaseError, ServerUnreachableError, UntrustedArtifactError
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.stages.serving.golden import GoldenSet
from visionops_assets.stages.serving.repository import ModelRepository
from visionops_assets.stages.serving.smoke import GOLDEN_FILE, read_golden, write_golden

FILES = {
    "model.onnx": b"weights",
    "model.json": b"{}",
    "model.py": b"",
    "config.pbtxt": b"name: 'm'",
    GOLDEN_FILE: b"{}",
}


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def repository(store: MemoryStore) -> ModelRepository:
    return ModelRepository(cast("ObjectStore", store), "m")


def config(version: int) -> dict[str, bytes]:
    return FILES | {"config.pbtxt": b"version_policy { specific { versions: [%d] } }" % version}


def folders(store: MemoryStore) -> set[str]:
    """What a starting Triton would copy: names below the model's folder."""
    return {key.split("/")[2] for key in store if key.startswith("triton/m/")}


def test_a_folder_reads_back_and_its_manifest_is_written_last(
    repository: ModelRepository, store: MemoryStore
) -> None:
    assert repository.publish(1, FILES) == FILES
    assert store.written[-1] == "releases/m/1/manifest.json"


def test_what_a_failed_release_left_is_replaced(repository: ModelRepository) -> None:
    repository.publish(1, FILES)
    first = repository.manifest_sha256(1)
    changed = FILES | {"model.onnx": b"other weights"}
    assert repository.publish(1, changed) == changed
    assert repository.manifest_sha256(1) != first


@pytest.mark.parametrize("file", FILES)
def test_a_release_that_dies_half_way_leaves_nothing_that_could_serve(
    repository: ModelRepository, store: MemoryStore, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    """Not even where it writes the very bytes of the release before it."""
    repository.publish(1, FILES)
    real_put = store.put

    def put(key: str, data: bytes) -> None:
        if key.endswith(f"/{file}"):
            raise ServerUnreachableError("killed")
        real_put(key, data)

    monkeypatch.setattr(store, "put", put)
    with pytest.raises(ServerUnreachableError):
        repository.publish(1, FILES | {"model.onnx": b"other weights"})
    with pytest.raises(ReleaseError, match="not complete"):
        repository.read(1)


def test_the_same_folder_has_the_same_manifest(repository: ModelRepository) -> None:
    repository.publish(1, FILES)
    first = repository.manifest_sha256(1)
    repository.publish(1, FILES)
    assert repository.manifest_sha256(1) == first


def test_a_folder_without_a_manifest_is_not_complete(
    repository: ModelRepository, store: MemoryStore
) -> None:
    repository.publish(1, FILES)
    store.delete("releases/m/1/manifest.json")
    with pytest.raises(ReleaseError, match="not complete"):
        repository.read(1)


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_named(
    repository: ModelRepository, store: MemoryStore, name: str
) -> None:
    repository.publish(1, FILES)
    store.put(f"releases/m/1/{name}", b"damaged")
    with pytest.raises(UntrustedArtifactError, match=name):
        repository.read(1)


def test_a_folder_cannot_stand_in_for_another(
    repository: ModelRepository, store: MemoryStore
) -> None:
    repository.publish(1, FILES)
    repository.publish(2, config(2))
    for name in (*FILES, "manifest.json"):
        store.put(f"releases/m/2/{name}", store.get(f"releases/m/1/{name}"))
    with pytest.raises(UntrustedArtifactError):
        repository.read(2)


def test_triton_finds_the_pinned_version_and_the_one_before_and_no_other(
    repository: ModelRepository, store: MemoryStore
) -> None:
    for version in (1, 2, 3):
        repository.publish(version, config(version))
        repository.pin(version, version - 1 or None, config(version))
    assert folders(store) == {"2", "3", "config.pbtxt"}
    assert repository.pins(3)
    assert not repository.pins(2)
    assert store.get("triton/m/3/model.onnx") == b"weights"
    assert f"triton/m/3/{GOLDEN_FILE}" not in store
    repository.unpin()
    assert not repository.pins(3)


def test_the_steps_of_a_pinned_ensemble_are_there_and_those_of_older_ones_are_not(
    repository: ModelRepository, store: MemoryStore
) -> None:
    store.put("triton/m-x-1-infer/config.pbtxt", b"of another model")
    for version in (1, 2, 3):
        steps = {
            f"{step}.pbtxt": f"name: 'm-{version}-{step}'".encode()
            for step in ("preprocess", "infer", "record")
        }
        code = {f"{step}.py": step.encode() for step in ("preprocess", "infer", "record")}
        repository.pin(version, version - 1 or None, config(version) | steps | code)
    names = {key.split("/")[1] for key in store}
    assert {name for name in names if name.endswith("infer")} == {
        "m-2-infer",
        "m-3-infer",
        "m-x-1-infer",
    }
    assert store.get("triton/m-3-infer/1/model.py") == b"infer"
    assert store.get("triton/m-3-infer/config.pbtxt") == b"name: 'm-3-infer'"
    assert store.written[-1] == "triton/m/config.pbtxt"


def test_a_version_is_pinned_when_its_files_are_there(
    repository: ModelRepository, store: MemoryStore
) -> None:
    repository.pin(1, None, config(1))
    assert store.written[-1] == "triton/m/config.pbtxt"


def test_a_golden_set_reads_back() -> None:
    golden = GoldenSet(images=(b"\x00png", b""), labels=("a", 'quoted "b"'))
    assert read_golden({GOLDEN_FILE: write_golden(golden)}) == golden
