import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from visionops_assets.cli import app
from visionops_assets.settings import STACK_ENV_FILE, load_settings

BIN = str(Path(sys.executable).parent)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name in [name for name in os.environ if name.startswith("VISIONOPS_")]:
        monkeypatch.delenv(name)
    folder = tmp_path / "it's a `home` $HOME"
    folder.mkdir()
    monkeypatch.setenv("VISIONOPS_HOME", str(folder))
    load_settings.cache_clear()
    yield folder
    load_settings.cache_clear()


def in_a_shell(then: str) -> str:
    """Evaluate the lines in a POSIX shell, and return what `then` prints there."""
    command = f'eval "$({sys.executable} -m visionops_assets env)"; {then}'
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True)
    return done.stdout


def test_a_shell_gets_the_planned_addresses_and_no_secret(home: Path) -> None:
    (home / STACK_ENV_FILE).write_text(
        "VISIONOPS_INGEST_URL=http://127.0.0.1:4711\n"
        "VISIONOPS_MLFLOW_TRACKING_URI=https://anna:hunter2@mlflow.example/x\n"
        "VISIONOPS_TRITON_ADMIN_KEY=hunter2\n"
    )
    shown = in_a_shell('printf "%s\\n" "$INGEST" "$MLFLOW" "$VISIONOPS_HOME" "$DAGSTER_HOME"; env')
    assert shown.splitlines()[:4] == [
        "http://127.0.0.1:4711",
        "https://mlflow.example/x",
        str(home),
        f"{home}/dagster",
    ]
    assert "hunter2" not in shown


def test_the_programs_come_first_once(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"/usr/bin:{BIN}:/bin")
    assert in_a_shell("command -v visionops; echo $PATH").splitlines() == [
        f"{BIN}/visionops",
        f"{BIN}:/usr/bin:/bin",
    ]


def test_without_a_stack_there_are_no_addresses_and_a_note(home: Path) -> None:
    done = CliRunner().invoke(app, ["env", "--json"])
    assert done.exit_code == 0
    assert set(json.loads(done.stdout)) == {"PATH", "VISIONOPS_HOME"}
    assert "visionops up" in done.stderr


def test_addresses_of_others_are_shown_without_a_stack_too(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VISIONOPS_GATEWAY_URL", "https://gateway.example")
    shown = json.loads(CliRunner().invoke(app, ["env", "--json"]).stdout)
    assert shown["GATEWAY"] == "https://gateway.example"
    assert "INGEST" not in shown
