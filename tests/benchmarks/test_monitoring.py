import numpy as np
import pytest

from benchmarks import monitoring
from benchmarks.monitoring import detector, measure, sliding_window, windows_in_a_row
from visionops_assets.settings import Settings


def one_stream(*bad: slice) -> monitoring.Streams:
    errors = np.zeros((1, 400), np.bool_)
    for part in bad:
        errors[0, part] = True
    return errors


def alarms(standing: monitoring.Streams) -> list[int]:
    return (np.flatnonzero(standing[0]) + 1).tolist()


def test_a_sliding_window_stands_in_alarm_while_it_holds_too_many_errors() -> None:
    errors = one_stream(slice(150, 161))
    assert alarms(sliding_window(errors, 10)) == list(range(161, 251))
    assert alarms(sliding_window(errors, 11)) == []
    assert alarms(sliding_window(one_stream(slice(0, 50)), 10))[0] == 100


def test_windows_in_a_row_alarm_at_the_end_of_the_third() -> None:
    assert alarms(windows_in_a_row(one_stream(slice(100, 250)), 5)) == [250]
    assert alarms(windows_in_a_row(one_stream(slice(100, 200), slice(250, 300)), 5)) == []


def test_the_detector_stands_in_alarm_from_the_first_one_on() -> None:
    standing = alarms(detector(one_stream(slice(100, 130))))
    assert 100 < standing[0] < 115


def test_requirements_and_rivals_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitoring, "STREAMS", 20)
    monkeypatch.setattr(monitoring, "LOTS", 2)
    monkeypatch.setattr(monitoring, "WATCHED_LABELS", 1_000)
    figures = measure(Settings())
    assert len({(figure.name, figure.limit_name) for figure in figures}) == 13
    required = [figure for figure in figures if figure.limit_name == "required at most"]
    assert [figure.limit for figure in required] == [1.0, 60.0, 900.0]
    window = next(f for f in figures if f.limit_name == "a sliding window of 100 labels")
    assert window.limit > 3 * window.value
