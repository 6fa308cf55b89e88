import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from kafka.errors import KafkaTimeoutError
from pydantic import BaseModel, ValidationError
from sqlalchemy.exc import ProgrammingError
from tritonclient.utils import InferenceServerException
from typer.testing import CliRunner

from visionops_assets.cli import app, failures
from visionops_assets.cli.failures import sentence
from visionops_assets.errors import NotFoundError, ServerUnreachableError
from visionops_assets.settings import STACK_ENV_FILE
from visionops_assets.stack import control


class Stored(BaseModel):
    pid: int


def unreadable() -> ValidationError:
    with pytest.raises(ValidationError) as caught:
        Stored.model_validate_json("{}")
    return caught.value


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VISIONOPS_HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (NotFoundError("There is no camera x."), "There is no camera x."),
        (ServerUnreachableError("Triton does not answer."), "There is no stack in"),
        (ProgrammingError("SELECT 1", {}, Exception("no table\nmore")), "PostgreSQL failed"),
        (httpx.ConnectTimeout("timed out"), "A service failed: ConnectTimeout: timed out."),
        (KafkaTimeoutError("no broker"), "The queue failed"),
        (InferenceServerException("UNAVAILABLE"), "Triton failed"),
        (FileNotFoundError(2, "No such file", "a.png"), "There is no file or folder a.png."),
        (PermissionError(13, "Permission denied", "/x"), "no permission for /x"),
        (OSError(28, "No space left on device", "/x"), "/x: No space left on device."),
        (OSError("no free port"), "no free port"),
        (unreadable(), "cannot be read"),
    ],
)
def test_any_error_is_one_sentence_that_says_what_to_do(
    home: Path, error: Exception, words: str
) -> None:
    said = sentence(error)
    assert words in said
    assert len(said.splitlines()) == 1
    assert "bug" not in said


DOWN = ServerUnreachableError("Triton does not answer: a library tells its story.")


def test_with_a_stack_the_doctor_is_asked(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / STACK_ENV_FILE).write_text("")
    monkeypatch.setattr(failures, "is_supervised", lambda _: True)
    assert sentence(DOWN).startswith(f"{DOWN} `visionops doctor` says which")


def test_where_nothing_runs_only_what_to_do_is_said(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("VISIONOPS_")]:
        if name != "VISIONOPS_HOME":
            monkeypatch.delenv(name)
    never_started = sentence(DOWN)
    assert never_started.startswith(f"There is no stack in {home}: start one by `visionops up`")
    (home / STACK_ENV_FILE).write_text("")
    assert sentence(DOWN) == f"The stack in {home} is stopped: start it by `visionops up`."
    # The server may be one that others run: then its own failure counts.
    monkeypatch.setenv("VISIONOPS_TRITON_GRPC_ADDRESS", "triton:8001")
    assert sentence(DOWN).startswith(str(DOWN))


def test_what_nobody_foresaw_is_a_bug_with_its_trace_in_a_file() -> None:
    with pytest.raises(KeyError) as caught:
        dict[str, str]()["x"]
    said = sentence(caught.value)
    file = Path(said.split()[-1].rstrip("."))
    try:
        assert said.startswith("This is a bug: KeyError: 'x'.")
        assert "Traceback" in file.read_text()
    finally:
        file.unlink()


def test_an_interrupt_is_one_line_and_the_code_of_its_signal(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(control, "look", interrupted)
    done = CliRunner().invoke(app, ["status"])
    assert (done.exit_code, done.stdout, done.stderr) == (130, "", "visionops: Interrupted.\n")


def test_who_stops_reading_sees_no_trace(home: Path) -> None:
    (home / "logs").mkdir()
    (home / "logs" / "db.log").write_text("a line\n" * 20_000)
    logs = f"{sys.executable} -m visionops_assets logs db -n 20000 | head -n 1"
    done = subprocess.run(["bash", "-c", logs], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("a line\n", "")
