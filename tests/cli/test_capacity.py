import json
from typing import Any

import pytest
from typer.testing import CliRunner

from visionops_assets.cli import app
from visionops_assets.cli.capacity import _amount
from visionops_assets.errors import InvalidRequestError


def run(*words: str) -> str:
    result = CliRunner().invoke(app, ["capacity", *words])
    assert result.exit_code == 0, result.stderr
    return result.stdout


def read(*words: str) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(run(*words, "--json"))
    return answer


def figures(answer: dict[str, Any]) -> dict[str, float]:
    return {figure["key"]: figure["value"] for figure in answer["figures"]}


def test_json_has_the_demand_the_figures_and_their_sources() -> None:
    answer = read("--media-per-day", "2740000", "--video-hours", "1000")
    assert answer.keys() == {"demand", "figures", "limits", "costs", "constants"}
    assert answer["demand"]["video_hours_per_day"] == 1_000
    assert answer["constants"]["UPLOAD_S"]["source"].endswith("make bench")
    assert {figure["basis"] for figure in answer["figures"]} == {
        "given", "measured", "extrapolated", "assumed",
    }  # fmt: skip
    (runs,) = (each for each in answer["limits"] if each["key"] == "concurrent_runs")
    assert runs["is_exceeded"]


def test_predictions_default_to_one_a_file() -> None:
    demand = read("--media-per-day", "864000")["demand"]
    assert demand["predictions_per_second"] == pytest.approx(10)
    none = read("--media-per-day", "864000", "--predictions-per-second", "0")
    assert figures(none)["triton_cpu"] == 0


def test_every_option_arrives() -> None:
    few = figures(read("--media-per-day", "1e6", "--retention-days", "1", "--replication", "1"))
    many = figures(read("--media-per-day", "1e6", "--retention-days", "10", "--replication", "3"))
    assert many["media_bytes"] == pytest.approx(few["media_bytes"] * 10)
    assert many["queue_bytes"] == pytest.approx(few["queue_bytes"] * 3)


def test_tables_show_figures_limits_and_costs_in_units_people_read() -> None:
    shown = run("--media-per-day", "2740000", "--video-hours", "1000")
    for words in ("528.5 TB", "max_concurrent_runs", "Triton on", "extrapolated", "%"):
        assert words in shown


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (0, "bytes", "0.0 B"),
        (999, "bytes", "999.0 B"),
        (1_000, "bytes", "1.0 kB"),
        (2.5e13, "bytes", "25.0 TB"),
        (1e21, "bytes", "1,000,000.0 PB"),
        (3, "", "3"),
        (12.34, "/s", "12.3 /s"),
        (2880.4, "/day", "2,880 /day"),
    ],
)
def test_amounts(value: float, unit: str, shown: str) -> None:
    assert _amount(value, unit) == shown


def test_predictions_alone_are_a_demand_and_nothing_is_none() -> None:
    asked = ("--predictions-per-second", "5000", "--network", "resnet-18-224")
    # 5,000 x 3 / (58.9 per pod x 0.7), and on a GPU 2,000 for 58.9.
    assert figures(read(*asked))["triton_cpu"] == 364
    assert figures(read(*asked))["triton_gpu"] == 11
    nothing = CliRunner().invoke(app, ["capacity"])
    assert isinstance(nothing.exception, InvalidRequestError)
    assert "--predictions-per-second" in str(nothing.exception)


def test_bad_input_ends_with_a_message() -> None:
    negative = CliRunner().invoke(app, ["capacity", "--media-per-day", "-1"])
    assert negative.exit_code == 2
    assert "--media-per-day" in negative.stderr
    unknown = CliRunner().invoke(app, ["capacity", "--media-per-day", "1", "--model", "x"])
    assert isinstance(unknown.exception, InvalidRequestError)
    assert "resnet-18-224" in str(unknown.exception)
