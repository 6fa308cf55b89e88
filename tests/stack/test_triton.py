"""When a local Triton counts as ready, and what it loads."""

from pathlib import Path

import pytest

from visionops_assets.settings import Settings, triton_repository
from visionops_assets.stack import triton as module
from visionops_assets.stack.plan import Plan
from visionops_assets.stack.ports import DEFAULT_PORTS
from visionops_assets.stack.server import Probe, Server
from visionops_assets.stack.triton import triton


def server(home: Path, monkeypatch: pytest.MonkeyPatch, answering: set[str]) -> Server:
    def answers(url: str) -> Probe:
        return lambda _: url.rpartition("/v2/")[2] in answering

    monkeypatch.setattr(module, "answers_http", answers)
    return triton(Plan(Settings(home=home), DEFAULT_PORTS, frozenset()))


@pytest.mark.parametrize(
    ("is_laid_out", "answering", "is_ready"),
    [
        # A first installation has no champion, and must release one all the same.
        (False, {"health/ready"}, True),
        (False, set(), False),
        (True, {"health/ready"}, False),
        (True, {"models/classifier/ready"}, False),
        (True, {"health/ready", "models/classifier/ready"}, True),
    ],
)
def test_it_is_ready_with_the_champion_that_was_laid_out(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    is_laid_out: bool,
    answering: set[str],
    is_ready: bool,
) -> None:
    built = server(tmp_path, monkeypatch, answering)
    if is_laid_out:
        model = triton_repository(Settings(home=tmp_path)) / "classifier"
        model.mkdir(parents=True)
        (model / "config.pbtxt").touch()
    assert built.probe(0.0) is is_ready


def test_it_loads_what_the_keeper_lays_out_and_starts_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = server(tmp_path, monkeypatch, set())
    repository = triton_repository(Settings(home=tmp_path))
    assert f"--model-repository={repository}" in built.command
    assert built.needs == ("keeper",)
