"""What holds for every command: help, JSON, and no stack trace where no server is."""

import ast
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.cli.commands import COMMANDS, GROUPS, Name, options, words_for
from visionops_assets import cli
from visionops_assets.demo import run as loop
from visionops_assets.settings import load_settings
from visionops_assets.stack import control
from visionops_assets.stack.state import ServerState, StackState

# They start or stop servers, or show text of servers as it is.
WITHOUT_JSON = {"up", "down", "logs", "demo"}
STARTING = {"up", "demo"}
NOBODY = "127.0.0.1:1"
ADDRESSES = {
    **{
        f"{name}_URL": f"http://{NOBODY}"
        for name in ("S3_ENDPOINT", "TRITON_HTTP", "DAGSTER", "INGEST", "GATEWAY", "CAMERA")
    },
    "MLFLOW_TRACKING_URI": f"http://{NOBODY}",
    "KAFKA_BOOTSTRAP_SERVERS": NOBODY,
    "TRITON_GRPC_ADDRESS": NOBODY,
    "POSTGRES_URL": f"postgresql+psycopg://visionops@{NOBODY}/visionops",
    "DAGSTER_POSTGRES_URL": f"postgresql+psycopg2://visionops@{NOBODY}/dagster",
    "S3_ACCESS_KEY_ID": "nobody",
    "S3_SECRET_ACCESS_KEY": "nothing",
}


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder, and no server at any address. Yields a CSV file of labels."""
    for name in [name for name in os.environ if name.startswith("VISIONOPS_")]:
        monkeypatch.delenv(name)
    for name, value in ADDRESSES.items():
        monkeypatch.setenv(f"VISIONOPS_{name}", value)
    monkeypatch.setenv("VISIONOPS_HOME", str(tmp_path / "home"))
    load_settings.cache_clear()
    labels = tmp_path / "labels.csv"
    labels.write_text("prediction_id,label\n00000000-0000-0000-0000-000000000007,cat\n")
    yield labels
    load_settings.cache_clear()


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """Run `visionops` as its entry point does, and return the exit code."""
    monkeypatch.setattr(sys, "argv", ["visionops", *words])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


@pytest.mark.parametrize("name", sorted(COMMANDS.keys() - STARTING))
def test_without_servers_a_command_says_so_in_one_line(
    name: str,
    nowhere: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    code = run(monkeypatch, *words_for(name, nowhere))
    shown = capfd.readouterr()
    assert code in {0, 1, 2}
    assert "This is a bug" not in shown.err
    assert "None" not in shown.out
    if code == 2:
        assert shown.err.startswith("visionops: ")
        assert len(shown.err.splitlines()) == 1
        assert shown.out == ""
    else:
        assert shown.err == "" or name == "env"


@pytest.mark.parametrize(("name", "steps"), [("up", ["up"]), ("demo", ["up", "loop"])])
def test_a_command_that_starts_servers_says_where_they_are(
    name: str,
    steps: list[str],
    nowhere: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    gateway = ServerState(name="gateway", address="http://127.0.0.1:8081", log="gateway.log")
    taken: list[str] = []

    def start(*_: object) -> StackState:
        taken.append("up")
        return StackState(supervisor_pid=1, servers=(gateway,))

    monkeypatch.setattr(control, "start", start)
    monkeypatch.setattr(loop, "run_demo", lambda *_: taken.append("loop"))
    assert run(monkeypatch, name) == 0
    assert gateway.address in capfd.readouterr().out
    assert taken == steps


@pytest.mark.parametrize("name", sorted(COMMANDS.keys() - WITHOUT_JSON))
def test_a_command_that_prints_facts_prints_them_as_json(name: str) -> None:
    assert "--json" in options(COMMANDS[name])


@pytest.mark.parametrize("words", [*GROUPS, *(tuple(name.split()) for name in COMMANDS)])
def test_a_command_says_what_it_and_its_parameters_do(words: Name) -> None:
    shown = CliRunner().invoke(cli.app, [*words, "--help"])
    assert shown.exit_code == 0
    assert "Traceback" not in shown.output
    command = GROUPS.get(words) or COMMANDS[" ".join(words)]
    assert command.help
    assert [p.name for p in command.params if not getattr(p, "help", None)] == []


def test_the_root_says_where_things_are_kept_and_how_json_is_printed() -> None:
    shown = CliRunner().invoke(cli.app, ["--help"]).stdout
    for words in ("VISIONOPS_HOME", "--json", "standard error", "--version"):
        assert words in shown


def test_the_version_is_that_of_the_package() -> None:
    shown = CliRunner().invoke(cli.app, ["--version"])
    assert (shown.exit_code, shown.stdout) == (0, "visionops 0.1.0\n")


def test_tables_are_made_in_one_place() -> None:
    """Where nothing is left of a value, its cell says so: see `screen.cell`."""
    for path in Path(cli.__file__).parent.glob("*.py"):
        calls = [node for node in ast.walk(ast.parse(path.read_text())) if is_table(node)]
        assert not calls or path.name in {"screen.py", "capacity.py"}, path


def is_table(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node.func) == "Table"


def test_a_plan_of_an_import_is_json(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    photos = nowhere.parent / "photos"
    (photos / "cat").mkdir(parents=True)
    (photos / "cat" / "a.png").write_bytes(b"12345")
    words = ("import", str(photos), "--label-by-folder", "--dry-run")
    assert run(monkeypatch, *words, "--json") == 0
    planned: dict[str, Any] = json.loads(capfd.readouterr().out)
    assert planned == {"path": "cat/a.png", "bytes": 5, "label": "cat"}
    assert run(monkeypatch, *words) == 0
    listed = "   5 bytes  cat  cat/a.png\n1 files, 5 bytes\n         1  cat\n"
    assert capfd.readouterr().out == listed


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nonsense"], "No such command"),
        (["release", "nonsense"], "No such command"),
        (["up", "--nonsense"], "No such option"),
        (["up", "--only", "nonsense"], "There is no server named nonsense. There are: seaweedfs"),
        (["logs", "nonsense"], "There is no log of nonsense"),
        (["logs", "--lines", "none"], "--lines"),
        (["predict", "/nowhere/a.png"], "/nowhere/a.png: unreadable: No such file or directory"),
        (["predict", "photos/a.png"], "does not answer"),
        (["predict", "photos"], "does not answer"),
        (["predict", "empty"], "There is no file in empty."),
        (["import", "/nowhere"], "There is no file or folder /nowhere."),
        (["import", "photos"], "does not answer"),
        (["quarantine", "show", "7"], "valid UUID"),
        (["models", "show", "--version", "first"], "--version"),
        (["releases", "promote", "first", "--reason", "x"], "VERSION"),
        (["cameras", "add", "A!", "rtsp://host/a"], "made of small letters"),
        (["cameras", "add", "a", "rtsp://host/a", "--every", "often"], "30m, 24h or 90d"),
        (["backups", "restore", "x", "--yes"], "The object store at"),
    ],
)
def test_a_wrong_word_ends_with_a_message(
    nowhere: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    words: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(nowhere.parent)
    Path("photos").mkdir()
    Path("photos/a.png").write_bytes(b"12345")
    Path("empty").mkdir()
    code = run(monkeypatch, *words)
    shown = capfd.readouterr()
    assert code == 2, shown
    assert message in " ".join(shown.err.replace("│", " ").split())
    assert "Traceback" not in shown.err
    assert shown.out == ""


def test_a_folder_that_may_not_be_written_ends_with_a_message(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    file = nowhere.parent / "file"
    file.touch()
    monkeypatch.setenv("VISIONOPS_HOME", str(file / "home"))
    assert run(monkeypatch, "up", "--only", "exporter") == 2
    assert capfd.readouterr().err == f"visionops: {file}/home: Not a directory.\n"
