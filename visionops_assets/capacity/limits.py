"""Limits that a demand may reach: they do not grow by adding machines."""

from dataclasses import dataclass

from visionops_assets.capacity import load
from visionops_assets.capacity import measurements as m
from visionops_assets.capacity.demand import Demand
from visionops_assets.capacity.measurements import Basis
from visionops_assets.capacity.planning import figures_of


@dataclass(frozen=True)
class Limit:
    """One limited quantity, and the remedy when the limit is reached."""

    key: str
    name: str
    load: float
    limit: float
    unit: str
    basis: Basis
    remedy: str

    @property
    def is_exceeded(self) -> bool:
        """Say whether the demand is above the limit."""
        return self.load > self.limit


def limits_of(demand: Demand) -> list[Limit]:
    """Return every known limit, the nearest first."""
    of_pods = [*_of_scaling(demand), *_of_dagster(demand), *_of_postgres(demand)]
    limits = [*of_pods, _taking(demand), _store(demand)]
    return sorted(limits, key=lambda limit: limit.load / limit.limit, reverse=True)


def _of_scaling(demand: Demand) -> list[Limit]:
    """Limit pods by what the manifests let their scalers reach."""
    figures = {figure.key: figure for figure in figures_of(demand)}
    rows = (
        ("ingest", m.INGEST_MAX_PODS, "maxReplicas of the HorizontalPodAutoscaler `ingest`"),
        ("gateway", m.GATEWAY_MAX_PODS, "maxReplicas of the HorizontalPodAutoscaler `gateway`"),
        ("triton_gpu", m.TRITON_MAX_PODS, "maxReplicaCount of the ScaledObject `triton`"),
    )
    return [
        Limit(
            f"{key}_pods",
            f"pods: {figures[key].name}",
            figures[key].value,
            most.value,
            "pods",
            figures[key].basis,
            f"Raise {setting} in your overlay.",
        )
        for key, most, setting in rows
    ]


def _of_dagster(demand: Demand) -> list[Limit]:
    """Limit runs. After an outage batches are full of the most expensive media.

    Partitions are no limit: the oldest finished batches leave Dagster by themselves.
    """
    batch_s = load.files_of_batch(demand, demand.image_bytes) * load.image_core_s(demand)
    if demand.video_hours_per_day:
        clips = load.files_of_batch(demand, demand.clip_bytes)
        batch_s = max(batch_s, clips * demand.clip_s * load.video_core_s(demand))
    return [
        Limit(
            "batch_run_s",
            "time of a full batch's run",
            batch_s + m.RUN_CPU_S.value,
            m.MAX_RUN_S.value,
            "s",
            Basis.EXTRAPOLATED,
            "Lower VISIONOPS_BATCH_MAX_MESSAGES or VISIONOPS_BATCH_MAX_BYTES, or raise "
            "max_runtime_seconds in deploy/dagster.yaml.",
        ),
        Limit(
            "concurrent_runs",
            "runs of media at once",
            load.worker_load(demand),
            m.MAX_CONCURRENT_RUNS.value,
            "runs",
            Basis.EXTRAPOLATED,
            "Raise max_concurrent_runs and the share of media in deploy/dagster.yaml, and set "
            "VISIONOPS_EXECUTOR=k8s.",
        ),
    ]


def _of_postgres(demand: Demand) -> list[Limit]:
    figures = {figure.key: figure.value for figure in figures_of(demand)}
    clients = figures["ingest"] + figures["gateway"] + figures["frame_workers"]
    return [
        Limit(
            "postgres_writes",
            "row writes of one primary",
            load.postgres_writes_hz(demand),
            m.POSTGRES_WRITES_HZ.value * m.POSTGRES_MAX_CORES.value * m.UTILISATION.value,
            "/s",
            Basis.ASSUMED,
            "Partition the large tables by time; more primaries need one catalog per region.",
        ),
        Limit(
            "postgres_connections",
            "connections of one primary",
            clients * m.POD_CONNECTIONS.value,
            m.POSTGRES_CONNECTIONS.value,
            "connections",
            Basis.ASSUMED,
            "Put a pooler (PgBouncer, in transaction mode) before PostgreSQL.",
        ),
    ]


def _taking(demand: Demand) -> Limit:
    """Limit the one run that takes all predictions into the catalog; the queue evens out peaks."""
    floats = m.MODELS[demand.model].embedding_size
    return Limit(
        "prediction_log",
        "predictions taken into the catalog",
        demand.predictions_per_second,
        1 / (m.TAKEN_S.value + m.TAKEN_S_PER_FLOAT.value * floats),
        "/s",
        Basis.EXTRAPOLATED,
        "One run takes them, and cannot be split yet: divide the traffic among installations.",
    )


def _store(demand: Demand) -> Limit:
    kept_hz = demand.predictions_per_second * demand.kept_image_share
    return Limit(
        "store_writes",
        "writes of objects at the peak",
        (demand.files_hz + kept_hz) * demand.peak_factor,
        m.STORE_WRITES_HZ.value,
        "/s",
        Basis.ASSUMED,
        "Amazon S3 divides a busy prefix by itself, in time; 503s are repeated meanwhile.",
    )
