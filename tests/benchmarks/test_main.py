from pathlib import Path

import pytest
from rich.console import Console

from benchmarks import __main__ as command
from benchmarks.measure import Figure
from visionops_assets.errors import ServerUnreachableError
from visionops_assets.settings import Settings

MISSED = Figure("small", 50.0, "frames/s", 100.0, "in-process", 0.5, 0.7, 5, 0.1)


def unreachable(settings: Settings) -> list[Figure]:
    raise ServerUnreachableError("[ingest] does not answer. Start the stack with `visionops up`.")


@pytest.fixture(autouse=True)
def areas(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command, "AREAS", {"frames": lambda _: [MISSED], "ingest": unreachable})


def test_a_missed_goal_is_a_result(tmp_path: Path) -> None:
    assert command.run({"frames"}, Settings(), Console(quiet=True)) == 0
    assert (tmp_path / "build/bench/frames.json").exists()


def test_without_a_stack_the_rest_is_measured_and_the_exit_code_is_2(tmp_path: Path) -> None:
    console = Console(width=150)
    with console.capture() as capture:
        assert command.run({"frames", "ingest"}, Settings(), console) == 2
    assert "ingest was not measured. [ingest] does not answer." in capture.get()
    assert [path.name for path in (tmp_path / "build/bench").iterdir()] == ["frames.json"]


def test_an_unknown_area_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["benchmarks", "frame"])
    with pytest.raises(SystemExit) as stopped:
        command.main()
    assert stopped.value.code == 2
    assert "There are: frames, ingest" in capsys.readouterr().err
