"""`data_drift`: the distance of new images from the holdout of the served model."""

from itertools import chain
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd
from sqlalchemy.orm import Session

from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.performance import (
    Observation,
    embeddings_of,
    monitored_releases,
    newest_observations,
)
from visionops_assets.catalog.schema import DriftWindow, Release
from visionops_assets.errors import DamagedArtifactError
from visionops_assets.models import default_model, model_named
from visionops_assets.monitoring.comparing import Compared, compare
from visionops_assets.monitoring.reference_files import read_reference
from visionops_assets.resources.columns import TEXT, columns, frame_of, shown
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.resources.sentences import fail_in_words
from visionops_assets.stages.monitoring.prediction_log import prediction_log
from visionops_assets.stages.partitions import HOURLY, OWNERS
from visionops_assets.stages.presentation import picture, table
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


@dg.asset(
    deps=[prediction_log],
    group_name="monitoring",
    io_manager_key="tables",
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
) -> dg.MaterializeResult[pd.DataFrame]:
    """Newest predictions of each release compared with the holdout its model was judged on.

    One row per model and kind of comparison. Drift alone says nothing about accuracy: the arbiter
    may ask for labels, and never retrains because of it. With too few predictions, without a
    reference, or with a damaged one, a model has no rows, and `models` says why.
    """
    model_name = default_model().name
    rows, notes = [], {}
    shown: Compared | None = None
    with catalog.begin() as session:
        for release in monitored_releases(session):
            compared, note = _compare(session, object_store, release)
            notes[release.model_name] = note
            context.log.info("%s, version %d: %s", release.model_name, release.model_version, note)
            if compared is None:
                continue
            rows.append(_rows_of(release, compared))
            if shown is None or release.model_name == model_name:
                shown = compared
    results = frame_of(chain.from_iterable(rows), COLUMNS)
    metadata: dict[str, Any] = {
        "result": notes.get(model_name, "Nothing is released."),
        "models": dg.MetadataValue.json(notes),
        "tests": table(results),
    }
    if shown is not None:
        metadata |= _drawn(shown)
    return dg.MaterializeResult(value=results, metadata=metadata)


MIN_EMBEDDINGS = 2
"""Distances need pairs."""


def choose(seen: list[Observation], most: int) -> list[Observation]:
    """Draw at most `most` observations by chance; equal input gives an equal draw."""
    if len(seen) <= most:
        return seen
    chosen = np.random.default_rng(SEED).choice(len(seen), most, replace=False)
    return [seen[i] for i in np.sort(chosen)]


def _compare(
    session: Session, object_store: ObjectStore, release: Release
) -> tuple[Compared | None, str]:
    """Compare a release with its reference and note the result; return it, or why not, in words."""
    limits = model_named(release.model_name).monitoring
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
