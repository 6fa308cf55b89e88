"""A code version changes with the code and the settings that decide, and with nothing else."""

from pathlib import Path

import pytest

from visionops_assets.resources.checksums import digest_of_code
from visionops_assets.stages import code_versions
from visionops_assets.stages.code_versions import code_version


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of our form, with one file in each of its rooms."""
    for room in ("vision/filters", "tasks", "stages/frames", "stages/training"):
        (tmp_path / room).mkdir(parents=True)
        (tmp_path / room / "a.py").write_text(f"# {room}")
    monkeypatch.setattr(code_versions, "PACKAGE", tmp_path)
    digest_of_code.cache_clear()
    return tmp_path


def version_now() -> str:
    digest_of_code.cache_clear()
    return code_version("frames", "a spec")


@pytest.mark.parametrize("file", ["vision/filters/a.py", "stages/frames/a.py"])
def test_the_code_of_the_stage_and_of_vision_decides(package: Path, file: str) -> None:
    before = version_now()
    path = package / file
    text = path.read_text()
    path.write_text(f"{text} changed")
    assert version_now() != before
    path.write_text(text)
    assert version_now() == before
    path.rename(path.with_name("b.py"))
    assert version_now() != before


@pytest.mark.parametrize(
    "file", ["stages/training/a.py", "stages/b.py", "vision/notes.txt", "tasks/a.py"]
)
def test_no_other_file_does(package: Path, file: str) -> None:
    before = version_now()
    (package / file).write_text("changed")
    assert version_now() == before


@pytest.mark.usefixtures("package")
def test_each_setting_decides() -> None:
    told = {code_version("frames", *settings) for settings in ((), (1,), (2,), (1, 2), (2, 1))}
    assert len(told) == 5
    assert code_version("frames", 1, "2") == code_version("frames", 1, "2")


@pytest.mark.parametrize(("stage", "is_decided_by_it"), [("frames", False), ("training", True)])
def test_tasks_decide_about_models_and_not_about_frames(
    package: Path, stage: str, is_decided_by_it: bool
) -> None:
    before = code_version(stage)
    (package / "tasks" / "a.py").write_text("changed")
    digest_of_code.cache_clear()
    assert (code_version(stage) != before) is is_decided_by_it
