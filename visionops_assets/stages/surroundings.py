"""The world around the pipeline, as external assets: Dagster shows them and runs none of them.

They make the lineage a story, from the sources to the applications, and from the predictions back
to the next snapshot. A graph may not go in a circle, so one arrow is left out: from `applications`
to `predictions_topic`. The descriptions of both name it.
"""

from collections.abc import Sequence

import dagster as dg

from visionops_assets.catalog.schema import AnnotationRow
from visionops_assets.contracts import DeadLetter, MediaEvent, Prediction
from visionops_assets.models import ModelDeclaration
from visionops_assets.resources.columns import fields_of, rows_of, shown
from visionops_assets.stages.of_model import key_of
from visionops_assets.stages.partitions import OWNERS

MEDIA_EVENTS = fields_of(
    MediaEvent,
    {
        "schema_version": "Version of this form.",
        "event_id": "Id of the event: it follows from the file and the number of its announcement.",
        "media_id": "Id that the ingest API gave the file.",
        "object_key": "Key of the file in the object store.",
        "sha256": "Hash of the bytes, in hexadecimal.",
        "bytes": "Size of the file.",
        "kind": "`image` or `video`.",
        "content_type": "MIME type, by the content.",
        "source": "Camera, partner or user that sent it.",
        "captured_at": "When it was recorded, as the sender said.",
        "stored_at": "When it was acknowledged.",
    },
)
DEAD_LETTERS = fields_of(
    DeadLetter,
    {
        "schema_version": "Version of this form.",
        "topic": "Topic that the message lies in.",
        "partition": "Its partition there.",
        "offset": "Its offset there.",
        "value": "Bytes of the message, in Base64.",
        "code": "Reason as a stable code.",
        "detail": "Reason in words.",
        "failed_at": "When it could not be handled.",
    },
)
LABELS = rows_of(
    AnnotationRow,
    {
        "annotation_id": "Number of the annotation.",
        "media_id": "File that it was given to; none if it was a prediction.",
        "prediction_id": "Prediction that it was given to; none if it was a file.",
        "start_s": "Beginning of the part of the video that it is about; none of the whole file.",
        "end_s": "End of that part.",
        "model_name": "Model that it is for; none: each that looks at the file.",
        "payload": "The annotation, in the form of the model's task.",
        "origin": "Where it came from, such as `upload` or `feedback`.",
        "author": "API key that gave it; none if none did.",
        "trust": "How far it is trusted, 0..1.",
        "retracts": "Annotation that this row takes back; none if it takes back none.",
        "created_at": "When it was given.",
    },
)
PREDICTIONS = fields_of(
    Prediction,
    {
        "prediction_id": "Id that the client got with the answer.",
        "predicted_at": "When the model answered.",
        "model_name": "Name of the model.",
        "model_version": "Version that answered.",
        "snapshot_id": "Snapshot it was trained on.",
        "role": "`champion`, `canary` or `shadow`.",
        "label": "Class that it answered.",
        "probabilities": "Probability of each class, in alphabetical order of the classes.",
        "embedding": "The frame as the network sees it.",
        "image_sha256": "Hash of the image, in hexadecimal.",
        "latency_ms": "Milliseconds from the start of its request batch to the answer.",
        "quality": "Measures of the frame, such as brightness.",
        "image": "The image, of a sample of the predictions, in Base64.",
    },
)


def _external(
    key: str,
    group: str,
    kinds: set[str],
    description: str,
    deps: Sequence[str | dg.AssetKey] = (),
    schema: dg.TableSchema | None = None,
) -> dg.AssetSpec:
    return dg.AssetSpec(
        key,
        group_name=group,
        kinds=kinds,
        description=description,
        deps=deps,
        owners=OWNERS,
        metadata=shown(schema) if schema else None,
    )


_MEDIA = [
    _external(
        "cameras",
        "media",
        {"rtsp", "hls"},
        "Cameras watched by the camera service, which uploads clips or stills. "
        "`visionops cameras ls` lists them.",
    ),
    _external(
        "uploads",
        "media",
        {"http", "s3"},
        "Files from people and partners: uploads, and imports of folders and buckets.",
    ),
    _external(
        "media_topic",
        "media",
        {"kafka"},
        "Queue that announces each acknowledged file, at least once.",
        ["cameras", "uploads", "feedback_media"],
        MEDIA_EVENTS,
    ),
    _external(
        "dead_letter_topic",
        "media",
        {"kafka"},
        "Messages that could not be handled, each with its reason. "
        "`visionops dead-letters ls` lists them.",
        ["raw_media", "prediction_log"],
        DEAD_LETTERS,
    ),
]

_DATA = [
    _external(
        "label_table",
        "data",
        {"postgresql"},
        "Labels given by people: with an upload, or later to a prediction.",
        schema=LABELS,
    ),
]


def _serving(models: Sequence[ModelDeclaration]) -> list[dg.AssetSpec]:
    # No arrow from an `engine` to its `model_release`: a release waits for no engine.
    served = [key_of(model, asset) for model in models for asset in ("model_release", "engine")]
    return [
        _external(
            "triton",
            "serving",
            {"triton"},
            "Triton servers. They serve the champion of each model, by its engines where they "
            "match, and record each answer in `predictions_topic`.",
            served,
        ),
        _external(
            "applications",
            "serving",
            {"grpc", "http"},
            "Applications that send images and get answers. The loop goes on at "
            "`predictions_topic`. No arrow shows that: a graph may not go in a circle.",
            ["triton"],
        ),
    ]


_MONITORING = [
    _external(
        "predictions_topic",
        "monitoring",
        {"kafka"},
        "Queue of all answers that `applications` got from `triton`. Monitoring begins here, and "
        "leads back to the next snapshot or to a rollback.",
        schema=PREDICTIONS,
    ),
    _external(
        "server_metrics",
        "monitoring",
        {"prometheus"},
        "Metrics of all servers, from Prometheus or from the servers themselves.",
    ),
]


def shared(models: Sequence[ModelDeclaration]) -> dg.Definitions:
    """Return the external assets around some models."""
    return dg.Definitions(assets=[*_MEDIA, *_DATA, *_serving(models), *_MONITORING])
