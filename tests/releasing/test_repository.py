from typing import cast

import pytest

from tests.resources.memory_store import MemoryStore
from visionops_assets.errors import ReleaseError, ServerUnreachableError, UntrustedArtifactError
from visionops_assets.releasing.golden import GoldenSet
from visionops_assets.releasing.repository import ModelRepository, asked_versions
from visionops_assets.releasing.smoke import GOLDEN_FILE, read_golden, write_golden
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.tasks.base import Answer

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


def test_what_was_released_is_told_from_what_was_signed_later(
    repository: ModelRepository,
) -> None:
    repository.publish(1, FILES)
    released = repository.manifest_sha256(1)
    assert repository.read_released(1, released) == FILES
    repository.publish(1, FILES | {"model.onnx": b"other weights"})
    with pytest.raises(UntrustedArtifactError, match="not what was released"):
        repository.read_released(1, released)


def test_steps_are_asked_for_by_name_and_version(
    repository: ModelRepository, store: MemoryStore
) -> None:
    # Of an earlier version, which kept copies there.
    store.put("triton/m/1/model.onnx", b"weights")
    store.put("triton/m/config.pbtxt", b"")
    for version in (3, 12):
        repository.ask_for_steps(version)
    ModelRepository(cast("ObjectStore", store), "n").ask_for_steps(3)
    objects = cast("ObjectStore", store)
    assert set(asked_versions(objects)) == {("m", 3), ("m", 12), ("n", 3)}
    repository.forget_asked({12})
    assert set(asked_versions(objects)) == {("m", 12), ("n", 3)}


def test_a_golden_set_reads_back() -> None:
    golden = GoldenSet(
        images=(b"\x00png", b""),
        answers=(Answer(("a",)), Answer(('quoted "b"', "c"))),
        task="multilabel",
    )
    assert read_golden({GOLDEN_FILE: write_golden(golden)}) == golden
