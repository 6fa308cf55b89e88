"""A child is alone with the code of its parent."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from visionops_assets.vision.sandbox.isolation import PACKAGE, PACKAGE_ROOT, isolated

TELL = """
import json, sys, visionops_assets
print(json.dumps([visionops_assets.__file__, sys.argv[1:], sys.path, __name__]))
"""


def told(command: list[str], folder: Path, **environment: str) -> tuple[Path, list[str], list[str]]:
    run = subprocess.run(
        command, capture_output=True, text=True, check=True, cwd=folder, env=environment
    )
    file, arguments, path, name = json.loads(run.stdout)
    assert name == "__main__"
    return Path(file), arguments, path


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The package once more, with a module that tells what a child sees."""
    root = tmp_path / "copy"
    for path in ("__init__.py", "vision/__init__.py", "vision/sandbox/__init__.py"):
        (root / PACKAGE / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(PACKAGE_ROOT / PACKAGE / path, root / PACKAGE / path)
    isolation = "vision/sandbox/isolation.py"
    shutil.copy(PACKAGE_ROOT / PACKAGE / isolation, root / PACKAGE / isolation)
    (root / PACKAGE / "tell.py").write_text(TELL)
    return root


def test_the_child_of_a_copy_runs_the_copy(copy: Path, tmp_path: Path) -> None:
    """Although another one is installed, and its environment is empty."""
    ask = (
        "import json; from visionops_assets.vision.sandbox.isolation import isolated;"
        "print(json.dumps(isolated('visionops_assets.tell', 'one', '--two')))"
    )
    made = subprocess.run(
        [sys.executable, "-c", ask], capture_output=True, check=True, cwd=tmp_path,
        env={"PYTHONPATH": str(copy)},
    )  # fmt: skip
    file, arguments, path = told(json.loads(made.stdout), tmp_path)
    assert file == copy / PACKAGE / "__init__.py"
    assert arguments == ["one", "--two"]
    assert str(copy) not in path, "it may hold modules named like others"


def test_neither_environment_nor_working_folder_choose_the_code(copy: Path) -> None:
    (copy / "json.py").write_text("raise SystemExit('not the real one')")
    command = isolated(f"{PACKAGE}.vision.sandbox.messages")
    environment = {"PYTHONPATH": str(copy), "PYTHONSTARTUP": str(copy / "json.py")}
    subprocess.run(command, check=True, cwd=copy, env=environment)
    with pytest.raises(subprocess.CalledProcessError):
        told(isolated(f"{PACKAGE}.tell"), copy, **environment)


def test_it_is_the_command_of_every_child() -> None:
    """Whoever starts a child by `-I` alone would run what is installed."""
    starts = [
        os.fspath(path.relative_to(PACKAGE_ROOT))
        for path in (PACKAGE_ROOT / PACKAGE).rglob("*.py")
        if '"-I"' in path.read_text()
    ]
    assert starts == [f"{PACKAGE}/vision/sandbox/isolation.py"]
