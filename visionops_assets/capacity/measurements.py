"""Every constant of the capacity model, once, with its unit and where it comes from.

Measured ones were taken on one machine with 2 cores, client and servers together, mostly by `make
bench` (docs/explanation/figures.md). So they are on the safe side: servers alone would do more.
Assumed ones could not be measured there. They are round numbers; replace them by your own.
"""

from dataclasses import dataclass
from enum import StrEnum


class Basis(StrEnum):
    """The foundation of a number. `given` means by a setting, or by the demand itself."""

    GIVEN = "given"
    MEASURED = "measured"
    EXTRAPOLATED = "extrapolated"
    ASSUMED = "assumed"


@dataclass(frozen=True)
class Constant:
    """One number, and where it comes from."""

    value: float
    unit: str
    basis: Basis
    source: str


@dataclass(frozen=True)
class ServedModel:
    """The figures of a network on CPUs, served by one Triton on both cores.

    `peak_hz` is with 32 requests in flight, `p99_ms` at 0.7 of that rate. `frame_bytes` is the mean
    PNG of ten photographs at this size, measured by hand.
    """

    frame_px: int
    frame_bytes: float
    embedding_size: int
    peak_hz: float
    p99_ms: float


MODELS = {
    "resnet-tiny-64": ServedModel(64, 9_268, 96, 1_034.0, 25.1),
    "resnet-tiny-224": ServedModel(224, 85_682, 96, 458.0, 33.6),
    "resnet-18-224": ServedModel(224, 85_682, 512, 58.9, 181.0),
}

_BENCH = "make bench"
_HAND = "by hand, 2 cores"
_ROWS = "tests/integration/test_capacity_rows.py"
_LIST = "order of public list prices"


def _measured(value: float, unit: str, source: str) -> Constant:
    return Constant(value, unit, Basis.MEASURED, source)


def _given(value: float, unit: str, source: str) -> Constant:
    return Constant(value, unit, Basis.GIVEN, source)


def _assumed(value: float, unit: str, source: str) -> Constant:
    return Constant(value, unit, Basis.ASSUMED, source)


UTILISATION = _given(0.7, "of peak", "the load at which p99 latency is measured, make bench")

# The line through uploads of 20 KB (405 /s) and 20 MB (4.8 /s). It errs on the safe side for those
# of 200 KB: 4.3 ms, where they took 3.3.
UPLOAD_S = _measured(0.00226, "s on 2 cores", f"uploads of 20 KB and 20 MB, {_BENCH}")
UPLOAD_S_PER_MB = _measured(0.0103, "s on 2 cores", f"the same, {_BENCH}")

# The line through 8x8 images (2,594 /s) and 1280x960 ones (538 /s).
IMAGE_FRAME_S = _measured(0.000385, "core s", f"frames from 8x8 PNG files, {_BENCH}")
IMAGE_FRAME_S_PER_MP = _measured(0.001199, "core s", f"frames from 1280x960 JPEG, {_BENCH}")
VIDEO_S_PER_S = _measured(1 / 77, "core s", f"a second of a 640x272 video at 25/s, {_BENCH}")
VIDEO_PIXELS = _measured(640 * 272, "pixels", "that video")

GATEWAY_S = _measured(0.0009, "core s", f"CPU time of a prediction with the gateway, {_BENCH}")
GATEWAY_MAX_IN_FLIGHT = _given(64, "requests", "VISIONOPS_GATEWAY_MAX_IN_FLIGHT")
RUN_CPU_S = _measured(6, "core s", f"a Dagster run, 3 to 6, {_HAND}")
MONITOR_RUN_S = _measured(16, "s", "monitoring in make demo, build/demo.json")
MONITORING_INTERVAL_S = _given(30, "s", "VISIONOPS_MONITORING_INTERVAL_S")
HEALTH_RUNS_PER_DAY = _given(288, "runs", "the schedule of check_health")
SENSOR_BATCHES = _given(4, "batches", "cut by one tick of the sensor media_events, at most")
BATCH_BYTES = _given(2_000_000_000, "bytes", "VISIONOPS_BATCH_MAX_BYTES")
SENSOR_INTERVAL_S = _given(5, "s", "from one tick to the next")
BATCHES_KEPT = _given(20_000, "batches", "VISIONOPS_BATCHES_KEPT: what Dagster's UI is quick with")
MAX_RUN_S = _given(7_200, "s", "max_runtime_seconds in deploy/dagster.yaml")

EVENT_BYTES = _measured(500, "bytes", f"a media event with its headers, {_HAND}")
PREDICTION_BYTES = _measured(620, "bytes", f"a prediction's record without embedding, {_HAND}")
FLOAT_BYTES = _measured(20, "bytes", f"per float of an embedding in JSON, {_HAND}")
KEPT_IMAGE_BYTES = _given(262_144, "bytes", "at most, before an image is scaled down")

MEDIA_ROW_BYTES = _measured(1_650, "bytes", f"media, outbox, consumed event, indexes, {_ROWS}")
FRAME_ROW_BYTES = _measured(510, "bytes", f"with indexes, {_ROWS}")
LABEL_ROW_BYTES = _measured(160, "bytes", f"with indexes, {_ROWS}")
PREDICTION_ROW_BYTES = _measured(830, "bytes", f"without embedding, with indexes, {_ROWS}")
EMBEDDING_VALUE_BYTES = _measured(13, "bytes", f"per float of a JSON column, {_ROWS}")
TAKEN_S = _measured(0.000425, "s", f"a prediction into the catalog, without the queue, {_HAND}")
TAKEN_S_PER_FLOAT = _measured(1.37e-6, "s", f"per float of its embedding, {_HAND}")
WRITES_PER_FILE = _given(7, "row writes", "intent, stored, outbox twice, event, queued, done")

PARTITION_BYTES_HZ = _assumed(10e6, "bytes/s", "into one partition of a topic")
BROKER_CORES = _assumed(4, "cores", "of one broker")
BROKER_BYTES_HZ = _assumed(50e6, "bytes/s", "written by one broker, all replicas counted")
BROKER_DISK_BYTES = _assumed(2e12, "bytes", "of one broker, filled to 0.7")
POSTGRES_MAX_CORES = _assumed(64, "cores", "of one primary")
POSTGRES_CONNECTIONS = _assumed(500, "connections", "of one primary, without a pooler")
POD_CONNECTIONS = _given(20, "connections", "of one process at most: catalog/connection.py")
STORE_WRITES_HZ = _assumed(3_500, "writes/s", "Amazon S3 below one prefix, as documented")
POSTGRES_WRITES_HZ = _assumed(2_000, "row writes/s", "of one core, indexes and WAL included")
RUN_LOG_BYTES = _assumed(200_000, "bytes", "one run in Dagster's event log")
MIN_REPLICAS = _given(2, "pods", "one may fail")
MAX_CONCURRENT_RUNS = _given(3, "runs", "of media: their share in deploy/dagster.yaml")
INGEST_MAX_PODS = _given(20, "pods", "maxReplicas, declared in roster/ours.py")
GATEWAY_MAX_PODS = _given(80, "pods", "maxReplicas, declared in roster/ours.py")
TRITON_MAX_PODS = _given(24, "pods", "maxReplicaCount in the overlay production, with GPUs")
GPU_POD_CORES = _given(8, "cores", "that decode images beside one GPU")
POD_CORES = _given(2, "cores", "one pod of ingest, gateway or Triton: as measured")

OBJECT_GB_MONTH_USD = _assumed(0.023, "USD", _LIST)
DISK_GB_MONTH_USD = _assumed(0.10, "USD", _LIST)
CORE_MONTH_USD = _assumed(30.0, "USD", _LIST)
GPU_MONTH_USD = _assumed(400.0, "USD", _LIST)
REQUESTS_1000_USD = _assumed(0.005, "USD", f"a thousand writes of objects, {_LIST}")


def constants() -> dict[str, Constant]:
    """Return every constant by its name."""
    return {name: value for name, value in globals().items() if isinstance(value, Constant)}
