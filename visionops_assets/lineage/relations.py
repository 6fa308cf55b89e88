"""The lists that lead from each kind of node up and down. A new list is one line here."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from visionops_assets.catalog import traced_media, traced_models
from visionops_assets.catalog.paging import Listed
from visionops_assets.catalog.schema import Decision, Media, PredictionRow, TrainedVersion
from visionops_assets.catalog.traced_models import find_version
from visionops_assets.lineage.nodes import MlflowRun, Source
from visionops_assets.lineage.records import Direction

Found = Listed | Sequence[object]
"""A list of the catalog, or rows that are known without asking it."""


@dataclass(frozen=True)
class Relation:
    """A list that leads from a node to others.

    `find` takes the session and the row of the node. `goes_on` says whether the trace follows its
    nodes: not where that would lead in a circle, or to what another list shows.
    """

    name: str
    says: str
    find: Callable[[Any, Any], Found]
    goes_on: bool = True


def _by(listed: Callable[[Any], Listed]) -> Callable[[Any, Any], Listed]:
    return lambda _, row: listed(row)


def _version_of(session: Any, row: PredictionRow | Decision) -> Sequence[TrainedVersion]:
    found = find_version(session, row.model_name, row.model_version)
    return [] if found is None else [found]


def _run_of(_: Any, row: TrainedVersion) -> Sequence[MlflowRun]:
    return [MlflowRun(row)] if row.mlflow_run_id else []


def _snapshot_of(_: Any, row: TrainedVersion) -> Found:
    # Of versions whose run is known, the run leads there.
    return [] if row.mlflow_run_id else traced_models.snapshot_of_version(row)


def _source_of(_: Any, row: Media) -> Sequence[Source]:
    return [Source(row.source)]


UP: Mapping[str, tuple[Relation, ...]] = {
    "prediction": (
        Relation("version", "answered by", _version_of),
        Relation("picture", "has the bytes of", _by(traced_media.media_of_picture)),
    ),
    "model": (
        Relation("run", "registered from", _run_of),
        Relation("dataset", "learned from", _snapshot_of),
    ),
    "mlflow_run": (
        Relation(
            "dataset",
            "learned from",
            lambda _, row: traced_models.snapshot_of_version(row.version),
        ),
    ),
    "dataset": (Relation("frames", "holds", _by(traced_media.frames_of_snapshot)),),
    "frame": (Relation("media", "decoded from", _by(traced_media.media_of_frame)),),
    "media": (
        Relation("events", "announced as", _by(traced_media.events_of)),
        Relation("source", "came from", _source_of),
        Relation("adopted", "made of", _by(traced_media.adopted_from), goes_on=False),
    ),
    "decision": (Relation("version", "is about", _version_of),),
}
DOWN: Mapping[str, tuple[Relation, ...]] = {
    "media": (
        Relation("datasets", "held by", _by(traced_media.snapshots_holding)),
        Relation("pictures", "asked as", _by(traced_media.predictions_of_picture), goes_on=False),
        Relation("frames", "decoded to", _by(traced_media.frames_of_media), goes_on=False),
        Relation("annotations", "said of it", _by(traced_media.annotations_of_media)),
    ),
    "frame": (Relation("datasets", "held by", _by(traced_media.snapshots_with_frame)),),
    "dataset": (Relation("versions", "learned by", _by(traced_models.versions_trained_on)),),
    "model": (
        Relation("releases", "became champion", _by(traced_models.releases_of)),
        Relation("decisions", "decided about", _by(traced_models.decisions_about)),
        Relation("predictions", "answered", _by(traced_models.predictions_by), goes_on=False),
    ),
    "prediction": (
        Relation("annotations", "said of it", _by(traced_media.annotations_of_prediction)),
        Relation("batches", "asked for in", _by(traced_models.labelling_batches_with)),
        Relation("adopted", "became", _by(traced_media.adopted_as), goes_on=False),
        Relation("decisions", "followed by", _by(traced_models.decisions_after)),
    ),
    "decision": (
        Relation("batches", "opened", _by(traced_models.labelling_batches_of)),
        Relation("datasets", "answered by", _by(traced_models.snapshot_after), goes_on=False),
    ),
}


def relations_of(kind: str, direction: Direction) -> tuple[Relation, ...]:
    """Return the lists that lead from a kind of node in a direction; none from an end."""
    return (UP if direction is Direction.UP else DOWN).get(kind, ())
