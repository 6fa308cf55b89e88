"""`data_drift`: the distance of new images from the holdout of the served model."""

from typing import Any

import dagster as dg
import numpy as np
from sqlalchemy.orm import Session

from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.performance import (
    Observation,
    embeddings_of,
    newest_observations,
)
from visionops_assets.catalog.releases import champion
from visionops_assets.catalog.schema import DriftWindow, Release
from visionops_assets.errors import DamagedArtifactError
from visionops_assets.models import ModelDeclaration
from visionops_assets.models.sections import Monitoring
from visionops_assets.monitoring.comparing import Compared, compare
from visionops_assets.monitoring.reference_files import read_reference
from visionops_assets.resources.columns import TEXT, columns, frame_of, shown
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.resources.sentences import fail_in_words
from visionops_assets.stages.monitoring.prediction_log import prediction_log
from visionops_assets.stages.of_model import key_of
from visionops_assets.stages.partitions import HOURLY, OWNERS
from visionops_assets.stages.presentation import ROW_COUNT, picture, table
from visionops_assets.vision.monitoring.drift import TestResult
from visionops_assets.vision.monitoring_plots import distribution_shift, drift_overview

EMBEDDINGS_COMPARED = 500
SEED = 0
COLUMNS = columns(
    ("model_name", TEXT, "Name of the model."),
    ("model_version", "int64", "Version of its newest release."),
    ("kind", TEXT, "Kind: embedding, class_share, confidence or an image quality."),
    ("statistic", "float64", "Size of the difference."),
    ("p_value", "float64", "Probability of such a difference by chance."),
    ("p_adjusted", "float64", "The same, corrected for the number of tests (Holm)."),
    ("drifted", "bool", "Whether the difference counts as drift."),
)


def data_drift_of(model: ModelDeclaration) -> dg.AssetsDefinition:
    """Define the drift of a model's input."""

    @dg.asset(
        key=key_of(model, "data_drift"),
        deps=[prediction_log],
        group_name="monitoring",
        metadata=shown(COLUMNS),
        freshness_policy=HOURLY,
        kinds={"numpy", "postgres", "parquet"},
        owners=OWNERS,
    )
    @fail_in_words
    def data_drift(
        context: dg.AssetExecutionContext,
        catalog: dg.ResourceParam[Catalog],
        object_store: dg.ResourceParam[ObjectStore],
    ) -> dg.MaterializeResult[None]:
        """Newest predictions of the champion compared with the holdout it was judged on.

        One row per kind of comparison. Drift alone says nothing about accuracy: the arbiter may ask
        for labels, and never retrains because of it. With too few predictions, without a reference,
        or with a damaged one, there are no rows, and `result` says why.
        """
        with catalog.begin() as session:
            release = champion(session, model.name)
            if release is None:
                compared, note = None, "Nothing is released."
            else:
                compared, note = _compare(session, object_store, release, model.monitoring)
        context.log.info("%s", note)
        return _result(release, compared, note)

    return data_drift


def _result(
    release: Release | None, compared: Compared | None, note: str
) -> dg.MaterializeResult[None]:
    rows = _rows_of(release, compared) if release and compared else []
    results = frame_of(rows, COLUMNS)
    metadata: dict[str, Any] = {ROW_COUNT: len(results), "result": note, "tests": table(results)}
    if compared is not None:
        metadata |= _drawn(compared)
    return dg.MaterializeResult(metadata=metadata)


MIN_EMBEDDINGS = 2
"""Distances need pairs."""


def choose(seen: list[Observation], most: int) -> list[Observation]:
    """Draw at most `most` observations by chance; equal input gives an equal draw."""
    if len(seen) <= most:
        return seen
    chosen = np.random.default_rng(SEED).choice(len(seen), most, replace=False)
    return [seen[i] for i in np.sort(chosen)]


def _compare(
    session: Session, object_store: ObjectStore, release: Release, limits: Monitoring
) -> tuple[Compared | None, str]:
    """Compare a release with its reference and note the result; return it, or why not, in words."""
    seen = newest_observations(session, release, limits.window_predictions)
    if len(seen) < limits.drift_min_predictions:
        least = limits.drift_min_predictions
        return None, f"Too few: {len(seen)} predictions, {least} are compared."
    try:
        reference = read_reference(object_store, release.model_name, release.model_version)
    except DamagedArtifactError as error:
        return None, str(error)
    if reference is None:
        return None, "No reference: evaluation kept no holdout answers of this version."
    chosen = choose(seen, EMBEDDINGS_COMPARED)
    size = reference.embeddings.shape[1]
    embeddings = embeddings_of(session, [one.prediction_id for one in chosen], size)
    if len(embeddings) < MIN_EMBEDDINGS:
        return None, f"Nearly no prediction has an embedding of {size} numbers, as the reference."
    compared = compare(reference, seen, embeddings, limits.drift_significance)
    session.add(
        DriftWindow(
            model_name=release.model_name,
            model_version=release.model_version,
            predictions=len(seen),
            reference_frames=len(reference.labels),
            results=compared.rows(),
            drifted=bool(compared.drifted),
        )
    )
    found = f"Drift of {', '.join(compared.drifted)}" if compared.drifted else "No drift"
    return compared, f"{found} in {len(seen)} predictions."


def _rows_of(release: Release, compared: Compared) -> list[dict[str, Any]]:
    version = {"model_name": release.model_name, "model_version": release.model_version}
    return [version | row for row in compared.rows()]


def _drawn(compared: Compared) -> dict[str, Any]:
    """Draw all tests, and the samples of the number that is furthest from the reference."""
    adjusted = {
        kind: TestResult(result.statistic, compared.adjusted[kind])
        for kind, result in compared.results.items()
    }
    furthest = max(compared.samples, key=lambda kind: compared.results[kind].statistic)
    return {
        "overview": picture(drift_overview(adjusted, compared.significance), "tests of drift"),
        "furthest": picture(
            distribution_shift(*compared.samples[furthest], furthest), f"{furthest}, then and now"
        ),
    }
