"""What is measured of a served model, and what becomes of its labelled predictions."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from uuid import UUID

import dagster as dg
import numpy as np
import pytest
from sqlalchemy import select
from tritonclient.grpc import InferenceServerClient

from tests.declared import declaration
from tests.defined import asset_of
from tests.integration.released_models import CARD, Serving
from tests.stacks import key_for
from tests.waiting import eventually
from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.feedback import FEEDBACK
from visionops_assets.catalog.schema import (
    AdoptedLabel,
    AnnotationRow,
    ConsumedEvent,
    DriftWindow,
    Media,
    PerformanceWindow,
    PredictionRow,
)
from visionops_assets.contracts import MediaStatus, Scope
from visionops_assets.contracts.payloads import text_of
from visionops_assets.demo.media import DemoFile, digits
from visionops_assets.monitoring.comparing import KINDS
from visionops_assets.monitoring.reference_files import Reference, write_reference
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.resources.triton_answers import ServedAnswer, image_input, read_answer
from visionops_assets.settings import Settings, load_settings
from visionops_assets.vision.monitoring.quality import measure_quality
from visionops_assets.vision.preprocessing import preprocess_image
from visionops_client import GatewayClient

KEPT, OTHERS, IN_REFERENCE = 8, 112, 200
TIMEOUT_S = 120


def quality_of(image: bytes, settings: Settings) -> tuple[float, ...]:
    frame = preprocess_image(image, CARD.spec, max_pixels=settings.max_predicted_image_pixels)
    return measure_quality(frame)


def reference_of(serving: Serving, files: Sequence[DemoFile]) -> Reference:
    """Let the served model itself have been evaluated on these files."""
    answers = serving.triton.predict(
        serving.model, [file.data for file in files], record=False, task="classification"
    )
    return Reference(
        classes=np.array(CARD.classes),
        labels=np.array([answer.label for answer in answers]),
        answered=np.array([answer.label for answer in answers]),
        probabilities=np.array([answer.probabilities for answer in answers], np.float32),
        confidence=np.array([answer.answer.confidence for answer in answers], np.float32),
        embeddings=np.array([answer.embedding for answer in answers], np.float32),
        quality=np.array([quality_of(f.data, serving.settings) for f in files], np.float32),
    )


def ask_to_keep(serving: Serving, files: Sequence[DemoFile]) -> list[ServedAnswer]:
    """Predict over gRPC, and ask for the images to be kept."""
    with InferenceServerClient(serving.settings.triton_grpc_address) as triton:
        return [
            read_answer(
                triton.infer(
                    serving.model, [image_input(file.data)], parameters={"keep_image": True}
                ).as_numpy,
                "classification",
            )
            for file in files
        ]


@dataclass
class Monitored:
    """A served model that predicted digits, all of which were labelled."""

    serving: Serving
    kept: list[DemoFile]
    answers: list[ServedAnswer]
    """Of the kept files first."""
    right: int


@pytest.fixture(scope="module")
def monitored(stack: Settings) -> Iterator[Monitored]:
    serving = Serving(stack)
    serving.release(1)
    # Neighbours were written by one person: shuffled, all samples are alike.
    files = digits()[0]
    shuffled = [files[i] for i in np.random.default_rng(0).permutation(len(files))]
    reference = reference_of(serving, shuffled[-IN_REFERENCE:])
    write_reference(serving.store, serving.model, 1, reference)
    kept, others = shuffled[:KEPT], shuffled[KEPT : KEPT + OTHERS]
    answers = ask_to_keep(serving, kept) + serving.predict(*[file.data for file in others])
    truth = [str(file.label) for file in kept]
    truth += [answer.label for answer in answers[KEPT : KEPT + OTHERS // 2]]
    with GatewayClient(stack.gateway_url, key_for(Scope.LABEL)) as gateway:
        for answer, label in zip(answers, truth, strict=False):
            gateway.label(answer.prediction_id, label, answers_draw=True)
    # The stack takes predictions of all models from the queue, and measures those that it declares.
    rows_of(answers)
    measured = [
        asset_of(name, declaration(serving.model)) for name in ("model_performance", "data_drift")
    ]
    resources = {"catalog": serving.catalog, "object_store": serving.store}
    assert dg.materialize(measured, resources=resources).success
    yield Monitored(serving, kept, answers, right=OTHERS // 2)
    serving.unload()


def window_of(monitored: Monitored) -> PerformanceWindow:
    def look() -> PerformanceWindow | None:
        query = select(PerformanceWindow).where(
            PerformanceWindow.model_name == monitored.serving.model,
            PerformanceWindow.labelled == KEPT + OTHERS // 2,
            PerformanceWindow.predictions == KEPT + OTHERS,
        )
        with Catalog().begin() as session:
            return session.scalar(query.order_by(PerformanceWindow.window_id.desc()).limit(1))

    return eventually("measurement of all predictions", look, TIMEOUT_S)


def media_of(prediction_ids: Sequence[UUID]) -> dict[UUID, Media]:
    """The adopted media of predictions, by prediction, as far as there are any."""
    query = (
        select(AnnotationRow.prediction_id, Media)
        .join(AdoptedLabel, AdoptedLabel.label_id == AnnotationRow.annotation_id)
        .join(Media, Media.media_id == AdoptedLabel.media_id)
        .where(AnnotationRow.prediction_id.in_(prediction_ids))
    )
    with Catalog().begin() as session:
        return {key: media for key, media in session.execute(query) if key is not None}


def labels_of(media_id: UUID) -> list[str]:
    with Catalog().begin() as session:
        query = (
            select(AnnotationRow.payload)
            .where(AnnotationRow.media_id == media_id)
            .order_by(AnnotationRow.annotation_id)
        )
        return list(map(text_of, session.scalars(query)))


def test_a_release_is_measured_by_its_labels_and_estimated_by_its_confidence(
    monitored: Monitored,
) -> None:
    window = window_of(monitored)
    assert window.correct == monitored.right
    assert window.accuracy == pytest.approx(monitored.right / (KEPT + OTHERS // 2))
    # In its own reference the model is always right.
    assert window.estimated_accuracy == 1.0
    assert window.label_lag_s is not None
    assert 0 <= window.label_lag_s < TIMEOUT_S
    overall = {s["slice"]: s for s in window.scores if s["measure"] == "accuracy"}
    assert overall["all"]["support"] == KEPT + OTHERS // 2
    assert {name.partition(":")[0] for name in overall} == {
        "all",
        "brightness",
        "contrast",
        "sharpness",
    }
    truths = {s["class"] for s in window.scores if s["measure"] == "recall"}
    assert {str(file.label) for file in monitored.kept} <= truths


def rows_of(answers: Sequence[ServedAnswer]) -> dict[UUID, PredictionRow]:
    keys = [answer.prediction_id for answer in answers]

    def look() -> dict[UUID, PredictionRow] | None:
        with Catalog().begin() as session:
            query = select(PredictionRow).where(PredictionRow.prediction_id.in_(keys))
            rows = {row.prediction_id: row for row in session.scalars(query)}
        return rows if len(rows) == len(keys) else None

    return eventually("predictions in the catalog", look, TIMEOUT_S)


def assert_kept_and_measured(
    answers: Sequence[ServedAnswer], files: Sequence[DemoFile], settings: Settings
) -> None:
    rows = rows_of(answers)
    for answer, file in zip(answers, files, strict=True):
        row = rows[answer.prediction_id]
        assert row.quality == pytest.approx(quality_of(file.data, settings), rel=1e-6, abs=1e-6)
        assert row.image_key is not None
        assert ObjectStore().get(row.image_key) == file.data


def test_the_quality_of_each_frame_is_known_and_its_image_kept(
    monitored: Monitored, stack: Settings
) -> None:
    assert_kept_and_measured(monitored.answers[:KEPT], monitored.kept, stack)


def test_an_ensemble_does_so_too(stack: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISIONOPS_SERVING_LAYOUT", "ensemble")
    load_settings.cache_clear()
    serving, files = Serving(stack), digits()[1][:3]
    try:
        serving.release(1)
        assert_kept_and_measured(ask_to_keep(serving, files), files, stack)
    finally:
        serving.unload()
        load_settings.cache_clear()


def test_images_like_the_references_have_not_drifted(monitored: Monitored) -> None:
    window_of(monitored)

    def look() -> DriftWindow | None:
        query = select(DriftWindow).where(
            DriftWindow.model_name == monitored.serving.model,
            DriftWindow.predictions == KEPT + OTHERS,
        )
        with Catalog().begin() as session:
            return session.scalar(query.limit(1))

    window = eventually("test for drift", look, TIMEOUT_S)
    assert [row["kind"] for row in window.results] == list(KINDS)
    assert (window.reference_frames, window.drifted) == (IN_REFERENCE, False)


def test_labelled_predictions_with_an_image_become_media_and_frames(monitored: Monitored) -> None:
    keys = [answer.prediction_id for answer in monitored.answers]

    def processed() -> dict[UUID, Media] | None:
        media = media_of(keys[:KEPT])
        done = [m for m in media.values() if m.status is MediaStatus.PROCESSED]
        return media if len(done) == KEPT else None

    media = eventually("frames of all kept images", processed, TIMEOUT_S)
    with Catalog().begin() as session:
        taken = session.scalars(
            select(ConsumedEvent.media_id).where(
                ConsumedEvent.media_id.in_([m.media_id for m in media.values()])
            )
        ).all()
    assert sorted(taken) == sorted(m.media_id for m in media.values())
    for answer, file in zip(monitored.answers, monitored.kept, strict=False):
        row = media[answer.prediction_id]
        assert (row.source, row.content_type, row.uploaded_by) == (FEEDBACK, "image/png", FEEDBACK)
        assert row.sha256 == hashlib.sha256(file.data).hexdigest()
        assert row.bytes == len(file.data)
        assert ObjectStore().get(row.object_key) == file.data
        assert labels_of(row.media_id)[0] == file.label
    unkept = [key for key in keys[KEPT:] if key.int % 1_000_000 >= 10_000]
    assert media_of(unkept) == {}


def test_a_corrected_prediction_corrects_its_media(monitored: Monitored, stack: Settings) -> None:
    answer, file = monitored.answers[0], monitored.kept[0]
    media_id = eventually(
        "media", lambda: media_of([answer.prediction_id]).get(answer.prediction_id), TIMEOUT_S
    ).media_id
    with GatewayClient(stack.gateway_url, key_for(Scope.LABEL)) as gateway:
        gateway.label(answer.prediction_id, "corrected")
    eventually("correction", lambda: labels_of(media_id)[1:] or None, TIMEOUT_S)
    assert labels_of(media_id) == [file.label, "corrected"]
    # Back to what the later measurements of this module expect.
    with GatewayClient(stack.gateway_url, key_for(Scope.LABEL)) as gateway:
        gateway.label(answer.prediction_id, str(file.label))
    eventually("correction of the correction", lambda: labels_of(media_id)[2:] or None, TIMEOUT_S)
    assert labels_of(media_id) == [file.label, "corrected", file.label]
