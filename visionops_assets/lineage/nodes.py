"""Makes the nodes of a trace of rows of the catalog: id, time, facts, links."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import singledispatch
from typing import Any
from urllib.parse import quote

from visionops_assets.catalog.schema import (
    AnnotationRow,
    ConsumedEvent,
    Decision,
    Frame,
    LabellingBatch,
    Media,
    PredictionRow,
    Release,
    Snapshot,
    TrainedVersion,
)
from visionops_assets.contracts.payloads import text_of
from visionops_assets.lineage.records import Node
from visionops_assets.settings import Settings, load_settings, mlflow_page


@dataclass(frozen=True)
class Source:
    """A source that media came from."""

    name: str


@dataclass(frozen=True)
class MlflowRun:
    """The MLflow run that a version was registered from."""

    version: TrainedVersion


def node_of(row: object, further: Mapping[str, Any]) -> Node:
    """Make the node of a row, with what its list says of it beyond that."""
    made = _described(row)
    facts = {name: _plain(value) for name, value in (made.facts | dict(further)).items()}
    return made.model_copy(update={"facts": {k: v for k, v in facts.items() if v is not None}})


def version_id(model_name: str, model_version: int) -> str:
    """Return the id of a version: `classifier:3`."""
    return f"{model_name}:{model_version}"


@singledispatch
def _described(row: object) -> Node:
    raise TypeError(f"{type(row).__name__} is not traced.")


@_described.register
def _prediction(row: PredictionRow) -> Node:
    return Node(
        kind="prediction",
        id=str(row.prediction_id),
        at=row.predicted_at,
        facts={
            "answer": row.label,
            "model": version_id(row.model_name, row.model_version),
            "role": row.role,
            "image_sha256": row.image_sha256,
            "image_key": row.image_key,
            "queue": _place(row.topic, row.topic_partition, row.topic_offset),
            "latency_ms": row.latency_ms,
        },
    )


@_described.register
def _version(row: TrainedVersion) -> Node:
    settings = load_settings()
    pages = {"MLflow": _of_mlflow(settings, row)}
    if row.mlflow_run_id:
        pages["MLflow run"] = _mlflow_run_page(settings, row.mlflow_run_id)
    if row.dagster_run_id:
        pages["Dagster"] = _run(settings, row.dagster_run_id)
    return Node(
        kind="model",
        id=version_id(row.model_name, row.model_version),
        at=row.registered_at,
        facts={
            "dataset": row.snapshot_id,
            "trained_on_forgotten": row.trained_on_forgotten,
            "dagster_run": row.dagster_run_id,
        },
        links=pages,
    )


@_described.register
def _mlflow_run(row: MlflowRun) -> Node:
    version = row.version
    return Node(
        kind="mlflow_run",
        id=str(version.mlflow_run_id),
        at=version.registered_at,
        links={"MLflow": _mlflow_run_page(load_settings(), str(version.mlflow_run_id))},
    )


@_described.register
def _snapshot(row: Snapshot) -> Node:
    return Node(
        kind="dataset",
        id=row.snapshot_id,
        at=row.created_at,
        facts={
            "model": row.model_name,
            "train_frames": row.train_frames,
            "holdout_frames": row.holdout_frames,
            "classes": len(row.classes),
            "spec": row.spec_id,
            "object_prefix": row.object_prefix,
        },
        links={"Dagster": _asset(f"{row.model_name}/dataset_snapshot")},
    )


@_described.register
def _frame(row: Frame) -> Node:
    return Node(
        kind="frame",
        id=str(row.frame_id),
        at=row.created_at,
        facts={
            "media": row.media_id,
            "index": row.frame_index,
            "time_s": row.time_s,
            "spec": row.spec_id,
            "shard": row.shard_key,
            "batch": row.batch_key,
        },
        links={"Dagster": _asset("processed_frames", row.batch_key)},
    )


@_described.register
def _media(row: Media) -> Node:
    return Node(
        kind="media",
        id=str(row.media_id),
        at=row.stored_at or row.received_at,
        facts={
            "source": row.source,
            "file": row.filename,
            "type": row.content_type,
            "bytes": row.bytes,
            "status": row.status.value,
            "sha256": row.sha256,
            "captured_at": row.captured_at,
            "uploaded_by": row.uploaded_by,
            "object_key": row.object_key,
        },
    )


@_described.register
def _event(row: ConsumedEvent) -> Node:
    return Node(
        kind="event",
        id=str(row.event_id),
        facts={
            "queue": _place(row.topic, row.topic_partition, row.topic_offset),
            "batch": row.batch_key,
        },
        links={"Dagster": _asset("raw_media", row.batch_key)},
    )


@_described.register
def _source(row: Source) -> Node:
    return Node(kind="source", id=row.name)


@_described.register
def _annotation(row: AnnotationRow) -> Node:
    return Node(
        kind="annotation",
        id=str(row.annotation_id),
        at=row.created_at,
        facts={
            "says": text_of(row.payload),
            "takes_back": row.retracts,
            "model": row.model_name,
            "start_s": row.start_s,
            "end_s": row.end_s,
            "origin": row.origin,
            "author": row.author,
        },
    )


@_described.register
def _decision(row: Decision) -> Node:
    return Node(
        kind="decision",
        id=str(row.decision_id),
        at=row.decided_at,
        facts={
            "decision": row.outcome,
            "reason": row.reason,
            "model": version_id(row.model_name, row.model_version),
            "dagster_run": row.dagster_run_id,
        },
        links={"Dagster": _run(load_settings(), row.dagster_run_id)},
    )


@_described.register
def _labelling_batch(row: LabellingBatch) -> Node:
    return Node(
        kind="labelling_batch",
        id=str(row.batch_id),
        at=row.opened_at,
        facts={
            "model": version_id(row.model_name, row.model_version)
            if row.model_version is not None
            else row.model_name,
            "purpose": row.purpose,
            "closed_at": row.closed_at,
        },
    )


@_described.register
def _release(row: Release) -> Node:
    run = row.dagster_run_id
    return Node(
        kind="release",
        id=str(row.release_id),
        at=row.released_at,
        facts={
            "model": version_id(row.model_name, row.model_version),
            "after_version": row.previous_version,
            "dagster_run": run,
        },
        links={"Dagster": _run(load_settings(), run)} if run else {},
    )


def _place(log: str, partition: int, offset: int) -> str:
    return f"{log}-{partition}-{offset}"


def _of_mlflow(settings: Settings, row: TrainedVersion) -> str:
    return mlflow_page(settings, f"/models/{row.model_name}/versions/{row.model_version}")


def _mlflow_run_page(settings: Settings, run_id: str) -> str:
    # This page finds the experiment of the run by itself.
    return mlflow_page(settings, f"/runs/{run_id}")


def _run(settings: Settings, run_id: str) -> str:
    return f"{settings.dagster_url.rstrip('/')}/runs/{run_id}"


def _asset(name: str, partition: str | None = None) -> str:
    page = f"{load_settings().dagster_url.rstrip('/')}/assets/{name}"
    return page if partition is None else f"{page}?partition={quote(partition)}"


def _plain(value: object) -> object:
    """Return a value that is JSON."""
    match value:
        case None | bool() | int() | float() | str():
            return value
        case datetime():
            return value.isoformat()
        case _:
            return str(value)
