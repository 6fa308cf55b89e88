"""Shared memory that a killed Triton left: that of this stack goes, that of others stays."""

from pathlib import Path

import pytest

from visionops_assets.stack import shared_memory


def test_only_the_memory_of_this_stack_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_memory, "_FOLDER", tmp_path)
    ours, theirs = map(shared_memory.shared_memory_prefix, (Path("/a"), Path("/b")))
    assert ours != theirs
    for name in (f"{ours}_1", f"{ours}_2", f"{theirs}_1", "other"):
        (tmp_path / name).touch()
    shared_memory.remove_shared_memory(Path("/a"))
    assert {path.name for path in tmp_path.iterdir()} == {f"{theirs}_1", "other"}
