"""Samples of a stack at work: media, CPU time, memory, and how quick Dagster's pages are."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from tests.integration.dagster_graphql import LOCATION, ask
from tests.scale.usage import usage_of
from visionops_assets.catalog import media
from visionops_assets.catalog.connection import Catalog
from visionops_assets.contracts import MediaStatus
from visionops_assets.settings import Settings
from visionops_assets.stack.paths import Paths

EVERY_S = 20.0
"""To look costs some 0.5 s of CPU time."""
# The list of runs, and an asset with the state of its partitions.
PAGES = """{ runsOrError(limit: 25) { ... on Runs { results { runId status tags { key value } } } }
  assetNodeOrError(assetKey: {path: ["processed_frames"]}) { ... on AssetNode {
    partitionStats { numMaterialized numFailed } } } }"""
TICKS = """query Ticks($in: SensorSelector!) { sensorOrError(sensorSelector: $in) {
  ... on Sensor { sensorState { ticks(limit: 1000, afterTimestamp: 1) {
    timestamp endTimestamp status } } } } }"""
SENSOR = LOCATION | {"sensorName": "media_events"}


@dataclass(frozen=True)
class Sample:
    """A stack at a time: media by status, CPU seconds and MB by server, ms of Dagster's pages."""

    time_s: float
    stored: int
    processed: int
    refused: int
    cpu_s: Mapping[str, float]
    memory_mb: Mapping[str, float]
    page_ms: float


def sample(settings: Settings) -> Sample:
    """Look once."""
    usage = usage_of(Paths(settings.home))
    with Catalog().begin() as session:
        by_status = media.count_by_status(session)
    started_s = time.perf_counter()
    ask(settings.dagster_url, PAGES)
    page_ms = 1_000 * (time.perf_counter() - started_s)
    return Sample(
        time.time(),
        sum(by_status.values()) - by_status[MediaStatus.RECEIVING],
        by_status[MediaStatus.PROCESSED],
        by_status[MediaStatus.QUARANTINED],
        usage.cpu_s,
        usage.memory_mb,
        page_ms,
    )


@contextmanager
def watch(settings: Settings, show: Callable[[Sample], None]) -> Iterator[list[Sample]]:
    """Give the samples that are taken every few seconds, for the length of the block."""
    samples: list[Sample] = []
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(EVERY_S):
            samples.append(sample(settings))
            show(samples[-1])

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield samples
    finally:
        ended.set()
        thread.join()


def tick_ms(settings: Settings) -> list[tuple[float, float]]:
    """Return when each tick of the sensor `media_events` began, and its milliseconds."""
    found = ask(settings.dagster_url, TICKS, **{"in": SENSOR})["sensorOrError"]["sensorState"][
        "ticks"
    ]
    ended = [tick for tick in found if tick["endTimestamp"]]
    return sorted(
        (tick["timestamp"], 1_000 * (tick["endTimestamp"] - tick["timestamp"])) for tick in ended
    )
