"""Prices a plan per month, at assumed unit prices: for comparing plans, not for a budget."""

from dataclasses import dataclass

from visionops_assets.capacity import load
from visionops_assets.capacity import measurements as m
from visionops_assets.capacity.demand import Demand
from visionops_assets.capacity.planning import figures_of

BYTES_PER_GB = 1e9
DAYS_PER_MONTH = 30


@dataclass(frozen=True)
class Cost:
    """One driver of the cost. `share` is its part of the sum, 0 to 1."""

    driver: str
    usd_per_month: float
    share: float


def costs_of(demand: Demand) -> list[Cost]:
    """Return the drivers, the dearest first.

    Object storage, disks and cores at their unit prices; Triton on CPUs or on GPUs, whichever is
    cheaper. Kept bytes are those at the end of the retention time. Traffic and people are not
    included.
    """
    spent = _storage(demand) | _compute(demand)
    total = sum(spent.values())
    costs = [Cost(driver, usd, usd / total if total else 0.0) for driver, usd in spent.items()]
    return sorted(costs, key=lambda cost: cost.usd_per_month, reverse=True)


def _storage(demand: Demand) -> dict[str, float]:
    value = {figure.key: figure.value for figure in figures_of(demand)}
    object_usd = m.OBJECT_GB_MONTH_USD.value / BYTES_PER_GB
    disk_usd = m.DISK_GB_MONTH_USD.value / BYTES_PER_GB
    written = demand.files_per_day + demand.predictions_per_day * demand.kept_image_share
    rows_bytes = value["catalog_bytes"] + value["run_log_bytes"]
    return {
        "media in the object store": value["media_bytes"] * object_usd,
        "frames in the object store": value["frames_bytes"] * object_usd,
        "kept images in the object store": value["kept_images_bytes"] * object_usd,
        "writes of objects": written * DAYS_PER_MONTH / 1_000 * m.REQUESTS_1000_USD.value,
        "disks of the queue": value["queue_bytes"] * disk_usd,
        "disks of PostgreSQL, all copies": rows_bytes * demand.replication * disk_usd,
    }


def _compute(demand: Demand) -> dict[str, float]:
    value = {figure.key: figure.value for figure in figures_of(demand)}
    core_usd, pod_cores = m.CORE_MONTH_USD.value, m.POD_CORES.value
    gpu_pod_usd = m.GPU_MONTH_USD.value + m.GPU_POD_CORES.value * core_usd
    on_cpu, on_gpu = value["triton_cpu"] * pod_cores * core_usd, value["triton_gpu"] * gpu_pod_usd
    return {
        "ingest": value["ingest"] * pod_cores * core_usd,
        "gateway": value["gateway"] * pod_cores * core_usd,
        f"Triton on {'CPUs' if on_cpu <= on_gpu else 'GPUs'}": min(on_cpu, on_gpu),
        "frame workers": load.worker_load(demand) / m.UTILISATION.value * core_usd,
        "brokers": value["brokers"] * m.BROKER_CORES.value * core_usd,
        "PostgreSQL, all copies": value["postgres_cores"] * demand.replication * core_usd,
    }
