"""`visionops train` refuses what cannot be trained before it asks any server."""

import sys

import pytest

from visionops_assets import cli


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--steps", "0"], "steps is 0, and must be from 1"),
        (["--steps", "many"], "valid integer"),
        (["--learning-rate", "0"], "must be above 0"),
        (["--learning-rate", "3"], "at most 1"),
        (["--network", "resnet-huge"], "choose one of resnet-tiny, resnet-18"),
        (["--snapshot", " "], "--snapshot is empty"),
    ],
)
def test_a_wrong_value_is_refused_in_one_sentence(
    words: list[str],
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("visionops_assets.catalog.connection.Catalog.begin", _never)
    monkeypatch.setattr(sys, "argv", ["visionops", "train", *words])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    shown = capsys.readouterr()
    assert told in shown.err
    assert "Traceback" not in shown.err
    assert shown.out == ""


def _never(*_: object) -> None:
    raise AssertionError("It asked the catalog first.")
