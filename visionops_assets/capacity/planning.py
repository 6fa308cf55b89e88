"""Plans for a demand: each figure with its unit, its foundation and its rule.

Limits that more machines do not raise are in `limits.py`.
"""

import math
from dataclasses import dataclass

from visionops_assets.capacity import load
from visionops_assets.capacity import measurements as m
from visionops_assets.capacity.demand import Demand
from visionops_assets.capacity.measurements import Basis


@dataclass(frozen=True)
class Figure:
    """One thing to provide. `because` is the rule in words."""

    key: str
    area: str
    name: str
    value: float
    unit: str
    basis: Basis
    because: str


def figures_of(demand: Demand) -> list[Figure]:
    """Return everything to provide, area by area."""
    return [*pods(demand), *storage(demand), *queue(demand), *postgres(demand), *dagster(demand)]


def pods(demand: Demand) -> list[Figure]:
    """Plan pods for the busiest second, each loaded to `UTILISATION` of its capacity.

    ingest = busy machines / utilisation, busy = files/s x (`UPLOAD_S` + MB x `UPLOAD_S_PER_MB`).
    gateway = the larger of CPU time and requests in flight (rate x latency, Little's law).
    triton = predictions/s / (rate of a pod x utilisation); on a GPU the rate is the network's or
    that of decoding on the pod's CPUs, whichever is less.
    """
    rows = (
        ("ingest", "ingest, 2 cores", load.ingest_load(demand), "upload time by size, at the peak"),
        (
            "gateway",
            "gateway, 2 cores",
            load.gateway_load(demand),
            "CPU time or requests in flight",
        ),
        ("triton_cpu", f"Triton on CPU, {demand.model}", load.triton_cpu_load(demand), "peak rate"),
    )
    figures = [_pods(key, name, busy, _founded(busy), because) for key, name, busy, because in rows]
    gpu = demand.predictions_per_second * demand.peak_factor / load.gpu_rate_hz(demand)
    because = "instead of those on CPU: the network's rate, or decoding on 8 cores"
    figures.append(_pods("triton_gpu", "Triton on GPU, 8 cores", gpu, Basis.ASSUMED, because))
    workers = load.worker_load(demand)
    because = "decoding at the peak, and 6 core s per Dagster run"
    figures.append(
        _pods("frame_workers", "frame workers, 1 core", workers, _founded(workers), because)
    )
    return figures


def storage(demand: Demand) -> list[Figure]:
    """Plan the bytes kept, by kind: a day's bytes x days of retention.

    Media, frames and kept images lie in the object store once (it replicates by itself); the queue
    `replication` times. A frame has the mean size of a PNG of the model's frame size.
    """
    days = demand.retention_days
    frame_bytes = m.MODELS[demand.model].frame_bytes
    kept_bytes = demand.kept_image_share * load.kept_image_bytes(demand)
    run_log = load.runs_per_day(demand) * days * m.RUN_LOG_BYTES.value
    rows = (
        ("media", "media", demand.media_bytes_per_day * days, Basis.GIVEN),
        ("frames", "frames", demand.frames_per_day * frame_bytes * days, Basis.EXTRAPOLATED),
        ("kept_images", "kept images", demand.predictions_per_day * kept_bytes * days, Basis.GIVEN),
        ("queue", "queue, all replicas", load.queued_bytes(demand), Basis.EXTRAPOLATED),
        ("catalog", "catalog rows", load.catalog_bytes(demand), Basis.EXTRAPOLATED),
        ("run_log", "Dagster's event log", run_log, Basis.ASSUMED),
    )
    return [
        Figure(f"{key}_bytes", "storage", name, value, "bytes", basis, "daily x days of retention")
        for key, name, value, basis in rows
    ]


def queue(demand: Demand) -> list[Figure]:
    """Plan partitions and brokers.

    Every 5 s, a tick of the sensor cuts up to 4 batches per partition, which bounds its rate.
    There are as many brokers as replicas, or as the bytes written or kept need.
    """
    written_hz = load.queued_hz(demand) * demand.peak_factor
    brokers = max(
        demand.replication,
        math.ceil(written_hz * demand.replication / m.BROKER_BYTES_HZ.value),
        math.ceil(load.queued_bytes(demand) / (m.BROKER_DISK_BYTES.value * m.UTILISATION.value)),
    )
    of_predictions = max(1, math.ceil(written_hz / m.PARTITION_BYTES_HZ.value))
    return [
        Figure(
            "brokers", "queue", "brokers", brokers, "", Basis.ASSUMED, "replicas, bytes/s, disk"
        ),
        Figure(
            "media_partitions",
            "queue",
            "partitions of the media topic",
            load.media_partitions(demand),
            "",
            Basis.GIVEN,
            f"one sensor tick cuts {load.cut_hz(demand):,.0f} events/s",
        ),
        Figure(
            "prediction_partitions",
            "queue",
            "partitions of the predictions topic",
            of_predictions,
            "",
            Basis.ASSUMED,
            "bytes/s at the peak",
        ),
    ]


def postgres(demand: Demand) -> list[Figure]:
    """Return the writes of the primary at the peak, and the cores they take.

    Seven row writes per file, one per frame, per label and per prediction.
    """
    writes_hz = load.postgres_writes_hz(demand)
    cores = max(2, math.ceil(writes_hz / (m.POSTGRES_WRITES_HZ.value * m.UTILISATION.value)))
    return [
        Figure(
            "postgres_writes_hz",
            "PostgreSQL",
            "row writes at the peak",
            writes_hz,
            "/s",
            Basis.GIVEN,
            "7 per file, 1 per frame, label and prediction",
        ),
        Figure(
            "postgres_cores",
            "PostgreSQL",
            "cores of the primary",
            cores,
            "",
            Basis.ASSUMED,
            "writes/s per core",
        ),
    ]


def dagster(demand: Demand) -> list[Figure]:
    """Plan batches and runs.

    A batch is cut when it is full, or when its oldest event waited for `batch_max_wait_s`. In a
    topic partition with r events/s that is every min(messages / r, wait) s, and never more often
    than events come.
    """
    batches = load.batches_per_day(demand)
    concurrent, kept = max(1, math.ceil(load.worker_load(demand))), m.BATCHES_KEPT.value
    rows = (
        ("batches_per_day", "batches", batches, "/day", f"full or due; {kept:,.0f} stay in the UI"),
        ("runs_per_day", "runs", load.runs_per_day(demand), "/day", "batches, monitoring, health"),
        ("concurrent_runs", "max_concurrent_runs", concurrent, "", "a run is a frame worker"),
    )
    return [
        Figure(key, "Dagster", name, value, unit, Basis.EXTRAPOLATED, because)
        for key, name, value, unit, because in rows
    ]


def _founded(busy: float) -> Basis:
    """Return the foundation of a load: that of one machine was measured, more is extrapolated."""
    return Basis.MEASURED if busy <= 1 else Basis.EXTRAPOLATED


def _pods(key: str, name: str, busy: float, basis: Basis, because: str) -> Figure:
    least = m.MIN_REPLICAS.value if busy > 0 else 0
    value = max(least, math.ceil(busy / m.UTILISATION.value))
    return Figure(key, "pods", name, value, "", basis, because)
