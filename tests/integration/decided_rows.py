"""Rows that the arbiter decides by, put straight into the catalog as stages would leave them."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

from tests.integration.released_models import CARD, Serving
from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.schema import (
    AnnotationRow,
    Frame,
    Media,
    MediaBatch,
    PerformanceWindow,
    PredictionRow,
    Snapshot,
)
from visionops_assets.contracts import MediaKind, MediaStatus
from visionops_assets.models import default_model


def predict(
    serving: Serving, count: int, right: bool | None, *, image_key: str | None = None
) -> list[UUID]:
    """Let the champion have predicted, and the truth be known unless `right` is None."""
    version = serving.champion()
    keys = [uuid4() for _ in range(count)]
    with serving.catalog.begin() as session:
        for place, key in enumerate(keys):
            session.add(
                PredictionRow(
                    prediction_id=key,
                    topic=f"test-{key}",
                    topic_partition=0,
                    topic_offset=0,
                    predicted_at=datetime.now(UTC),
                    model_name=serving.model,
                    model_version=version,
                    snapshot_id=CARD.snapshot_id,
                    label="a",
                    probabilities=[0.5 + place / 1_000, 0.1, 0.1],
                    embedding=[0.0],
                    image_sha256="0" * 64,
                    latency_ms=1,
                    image_key=image_key,
                )
            )
            if right is not None:
                truth = "a" if right else "b"
                session.add(
                    AnnotationRow(prediction_id=key, payload={"label": truth}, origin="test")
                )
    return keys


def measured(serving: Serving, estimate: float) -> None:
    """Let confidences have said how right the champion is."""
    window = PerformanceWindow(
        model_name=serving.model,
        model_version=serving.champion(),
        predictions=40,
        labelled=0,
        correct=0,
        estimated_accuracy=estimate,
        estimated_low=estimate - 0.02,
        estimated_high=estimate + 0.02,
    )
    with serving.catalog.begin() as session:
        session.add(window)


def label_frames(count: int, author: str | None = None) -> None:
    """Let media that `author` labelled have become frames that no snapshot has."""
    spec_id = default_model().frames.spec_id
    batch_key = f"test-{uuid4()}"
    moment = datetime.now(UTC)
    with Catalog().begin() as session:
        session.add(
            MediaBatch(
                batch_key=batch_key,
                topic=batch_key,
                topic_partition=0,
                start_offset=0,
                end_offset=count,
                processed_at=moment,
            )
        )
        for _ in range(count):
            media_id = uuid4()
            session.add(
                Media(
                    media_id=media_id,
                    source="test",
                    object_key=f"media/{media_id}",
                    captured_at=moment,
                    lease_expires_at=moment,
                    stored_at=moment,
                    status=MediaStatus.PROCESSED,
                    kind=MediaKind.IMAGE,
                    content_type="image/png",
                    sha256=uuid4().hex * 2,
                    bytes=1,
                    announcement=1,
                )
            )
            session.flush()
            session.add(
                Frame(
                    frame_id=uuid4(),
                    media_id=media_id,
                    spec_id=spec_id,
                    frame_index=0,
                    time_s=0,
                    perceptual_hash="0" * 16,
                    shard_key="none",
                    shard_offset=0,
                    frame_bytes=1,
                    batch_key=batch_key,
                )
            )
            session.add(
                AnnotationRow(
                    media_id=media_id, payload={"label": "a"}, origin="test", author=author
                )
            )


def snapshot_row(watermark: datetime) -> Snapshot:
    model = default_model()
    return Snapshot(
        snapshot_id=f"ds-{uuid4().hex[:16]}",
        model_name=model.name,
        watermark=watermark,
        spec_id=model.frames.spec_id,
        spec=model.frames.model_dump(mode="json"),
        classes=["a"],
        train_frames=2,
        holdout_frames=1,
        object_prefix="none",
    )
