"""The world around the pipeline, as external assets: Dagster shows them and runs none of them.

They make the lineage a story, from the sources to the applications, and from the predictions back
to the next snapshot. A graph may not go in a circle, so one arrow is left out: from `applications`
to `predictions_topic`. The descriptions of both name it.
"""

from collections.abc import Sequence

import dagster as dg

from visionops_assets.stages.partitions import OWNERS


def _external(
    key: str, group: str, kinds: set[str], description: str, deps: Sequence[str] = ()
) -> dg.AssetSpec:
    return dg.AssetSpec(
        key, group_name=group, kinds=kinds, description=description, deps=deps, owners=OWNERS
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
    ),
    _external(
        "dead_letter_topic",
        "media",
        {"kafka"},
        "Messages of the media topic that could not be handled, each with its reason. "
        "`visionops dead-letters ls` lists them.",
        ["raw_media"],
    ),
]

_DATA = [
    _external(
        "label_table",
        "data",
        {"postgresql"},
        "Labels given by people: with an upload, or later to a prediction.",
    ),
]

_SERVING = [
    _external(
        "triton",
        "serving",
        {"triton"},
        "Triton servers. They serve the champion, by its engines where they match, and record each "
        "answer in `predictions_topic`.",
        # No arrow from `engine` to `model_release`: a release waits for no engine.
        ["model_release", "engine"],
    ),
    _external(
        "applications",
        "serving",
        {"grpc", "http"},
        "Applications that send images and get answers. The loop goes on at `predictions_topic`. "
        "No arrow shows that: a graph may not go in a circle.",
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
    ),
    _external(
        "server_metrics",
        "monitoring",
        {"prometheus"},
        "Metrics of all servers, from Prometheus or from the servers themselves.",
    ),
]

definitions = dg.Definitions(assets=[*_MEDIA, *_DATA, *_SERVING, *_MONITORING])
