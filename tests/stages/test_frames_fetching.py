"""A store that fails: on one file it is the file's fault, on all of them its own."""

from collections.abc import Collection
from pathlib import Path
from typing import cast

import pytest

from visionops_assets.errors import AlteredMediaError, ServerUnreachableError
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.stages.frames.fetching import StoredFile, fetch_each

EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


class Store:
    """A store that does not answer for some files, or not for the first tries of one."""

    def __init__(self, failing: Collection[str], recovers_after: int = 10**6) -> None:
        self.failing = failing
        self.left = recovers_after
        self.asked: list[str] = []

    def download(self, key: str, path: Path) -> str:
        self.asked.append(key)
        if key in self.failing and self.left > 0:
            self.left -= 1
            raise ServerUnreachableError("The object store does not answer.")
        path.write_bytes(b"")
        return EMPTY


def fetched(store: Store, names: str, folder: Path) -> dict[str, type[Exception] | None]:
    files = [StoredFile(name, name, EMPTY, 0, "image", "gate") for name in names]
    results = fetch_each(files, cast("ObjectStore", store), folder)
    return {each.file.media_id: type(each.error) if each.error else None for each in results}


def test_a_file_that_fails_twice_where_others_come_is_altered(tmp_path: Path) -> None:
    store = Store("b")
    assert fetched(store, "abc", tmp_path) == {"a": None, "c": None, "b": AlteredMediaError}
    assert store.asked == ["a", "b", "c", "b"], "once more, after the others"


def test_a_file_that_comes_the_second_time_is_sound(tmp_path: Path) -> None:
    assert fetched(Store("b", recovers_after=1), "abc", tmp_path) == dict.fromkeys("acb")


@pytest.mark.parametrize(("names", "asked"), [("ab", ["a", "b", "a"]), ("abcde", ["a", "b", "c"])])
def test_a_store_that_gives_nothing_is_down(tmp_path: Path, names: str, asked: list[str]) -> None:
    """Three in a row are enough to know it; of fewer each is tried once more."""
    store = Store(names)
    with pytest.raises(ServerUnreachableError):
        fetched(store, names, tmp_path)
    assert store.asked == asked


def test_three_failures_after_a_file_that_came_stop_nothing(tmp_path: Path) -> None:
    found = fetched(Store("bcd"), "abcde", tmp_path)
    assert [name for name, error in found.items() if error is None] == ["a", "e"]
