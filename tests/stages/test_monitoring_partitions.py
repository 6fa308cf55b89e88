"""A partition that fails alone: the others are still taken, measured and asked for."""

import logging
from importlib import import_module
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.stages.memory_logs import CutCatalog, MemoryLogs
from visionops_assets.errors import MissingCodecError, VisionOpsError
from visionops_assets.monitoring.pipeline_health import measure_queue
from visionops_assets.resources.broker import Broker
from visionops_assets.stages.log_reading import LogReading
from visionops_assets.stages.monitoring import sensors

TAKEN = {0: 5, 1: 5, 2: 5}
UNREADABLE = MissingCodecError("lz4")
# Its package gives the asset of the same name.
prediction_log: Any = import_module("visionops_assets.stages.monitoring.prediction_log")


class Logs(MemoryLogs):
    """Three partitions that hold offsets 0 to 9, and say where they end."""

    def __init__(self, *failing: int, end: int = 9) -> None:
        super().__init__(dict.fromkeys(range(3), (0, end)), failing=failing)
        self.error = UNREADABLE

    def end(self, topic: str, partition: int, near: int, timeout_s: float) -> int:
        self.poll(topic, partition, near, 1, timeout_s)
        return self.ranges[partition][1]


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> dict[int, int]:
    """Keep the offsets that were taken, in place of the catalog."""
    offsets = dict(TAKEN)
    for module in (sensors, prediction_log):
        monkeypatch.setattr(module, "next_offset", lambda _, __, partition: offsets[partition])
        monkeypatch.setattr(
            module,
            "set_next_offset",
            lambda _, __, partition, end: offsets.update({partition: end}),
        )
    return offsets


@pytest.mark.parametrize(("end", "waits"), [(9, True), (5, False)])
def test_predictions_of_other_partitions_are_waited_for(
    taken: dict[int, int], caplog: pytest.LogCaptureFixture, end: int, waits: bool
) -> None:
    log, catalog = logging.getLogger("ticks"), cast("Any", CutCatalog())
    assert sensors._predictions_wait(cast(Broker, Logs(0, end=end)), catalog, log) == waits
    assert f"Partition 0 waits: {UNREADABLE}" in caplog.text
    assert taken == TAKEN, "nothing is taken by asking"


def test_where_no_partition_answers_it_is_an_error(taken: dict[int, int]) -> None:
    log, catalog = logging.getLogger("ticks"), cast("Any", CutCatalog())
    with pytest.raises(VisionOpsError, match="lz4"):
        sensors._predictions_wait(cast(Broker, Logs(0, 1, 2)), catalog, log)


def test_predictions_of_other_partitions_are_taken(
    taken: dict[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, result in (
        ("parse", ([], {})),
        ("_keep_images", 0),
        ("letters_of", []),
        ("add_dead_letters", None),
    ):
        monkeypatch.setattr(prediction_log, name, lambda *_, result=result: result)
    monkeypatch.setattr(prediction_log, "add_predictions", lambda *_: (4, {}))
    logs = Logs(1)
    taking = prediction_log._Taking(
        cast("Any", SimpleNamespace(log=logging.getLogger("run"))),
        cast("Any", CutCatalog()),
        cast("Any", None),
        LogReading(logs, "predictions", print),
    )
    done, failed = logs.of_each_partition("predictions", taking.take_partition)
    assert (set(done), failed) == ({0, 2}, {1: UNREADABLE})
    assert taken == {0: 9, 1: 5, 2: 9}
    assert taking.added == 8


def test_the_lag_of_other_partitions_is_known() -> None:
    broker = cast(Broker, Logs(1))
    found = measure_queue(broker, ["t"], {("t", partition): 5 for partition in range(3)})
    assert [(each.labels, each.value) for each in found[1:]] == [
        ({"topic": "t", "partition": "0"}, 4),
        ({"topic": "t", "partition": "2"}, 4),
    ]
    assert found[0].value == 1, "the queue itself is there"
