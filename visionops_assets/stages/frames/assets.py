"""`processed_frames`: the media of one batch as frames, in shards and in the catalog."""

import math
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd

from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.processing import FrameRecord, Processed, commit_frames
from visionops_assets.contracts import PreprocessingSpec
from visionops_assets.crash_points import CrashPoint, crash_point
from visionops_assets.resources.columns import TEXT, columns, frame_of, shown
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.resources.sentences import fail_in_words
from visionops_assets.settings import load_settings
from visionops_assets.stages.code_versions import code_version
from visionops_assets.stages.frames.decoding import Decoders, Result, grouped
from visionops_assets.stages.frames.fetching import StoredFile, fetch_each
from visionops_assets.stages.frames.sharding import ShardWriter
from visionops_assets.stages.partitions import OWNERS, media_batches
from visionops_assets.stages.presentation import ROW_COUNT, picture, table
from visionops_assets.vision.monitoring.quality import FRAME_MEASURES
from visionops_assets.vision.plots import montage
from visionops_assets.vision.preprocessing import decode_frame
from visionops_assets.vision.quality_plots import quality_by_source
from visionops_assets.vision.sandbox.decoder import EncodedFrame

MONTAGE_FRAMES = 54
PROGRESS_EVERY = 200
COLUMNS = columns(
    ("frame_id", TEXT, "Id of the frame; it follows from file, spec and place."),
    ("media_id", TEXT, "File it was decoded from."),
    ("spec_id", TEXT, "Spec that it follows."),
    ("frame_index", "int64", "Place among the frames kept of the file, from 0."),
    ("time_s", "float64", "Seconds from the start of the video; 0 for an image."),
    ("perceptual_hash", TEXT, "Hash by which near duplicates are found, in hexadecimal."),
    ("shard_key", TEXT, "Key of the tar file in the object store that holds it."),
    ("shard_offset", "int64", "First byte of its PNG or JPEG in the tar file."),
    ("frame_bytes", "int64", "Size of its PNG or JPEG."),
    ("source", TEXT, "Camera, partner or user that sent the file."),
    ("brightness", "float64", "Mean luma, 0 black to 1 white."),
    ("contrast", "float64", "Standard deviation of luma, 0 to 0.5."),
    ("sharpness", "float64", "Logarithm of the luma's variance of detail; low if blurred."),
    ("noise", "float64", "Standard deviation of noise in luma, 0 to 1."),
    ("entropy", "float64", "Bits of the luma's distribution, 0 to 8; low if blank."),
)


def processed_frames_of(specs: Sequence[PreprocessingSpec]) -> dg.AssetsDefinition:
    """Define the frames of all specs that some model asks for."""

    @dg.asset(
        group_name="media",
        partitions_def=media_batches,
        metadata=shown(COLUMNS),
        code_version=code_version("frames", *specs),
        kinds={"opencv", "ffmpeg", "s3", "postgres"},
        owners=OWNERS,
    )
    @fail_in_words
    def processed_frames(
        context: dg.AssetExecutionContext,
        raw_media: pd.DataFrame,
        catalog: dg.ResourceParam[Catalog],
        object_store: dg.ResourceParam[ObjectStore],
    ) -> dg.MaterializeResult[None]:
        """Frames of one batch: decoded in a sandbox, preprocessed by each spec; one row per frame.

        A file is read once, for the specs of all models. Pixels are packed into shards first; then
        frames and the state of their media are committed in one transaction. A file that does not
        decode, that is gone or that has other bytes than were acknowledged is quarantined with its
        reason and does not stop the others.
        """
        return _process(context, specs, raw_media, catalog, object_store)

    return processed_frames


def _process(
    context: dg.AssetExecutionContext,
    specs: Sequence[PreprocessingSpec],
    raw_media: pd.DataFrame,
    catalog: Catalog,
    object_store: ObjectStore,
) -> dg.MaterializeResult[None]:
    started = time.monotonic()
    key, most_bytes = context.partition_key, load_settings().shard_max_bytes
    writers = [ShardWriter(object_store, spec, key, most_bytes) for spec in specs]
    shown: list[bytes] = []
    processed: list[Processed] = []
    for done, (result, its_frames) in enumerate(
        _decode_all(raw_media, object_store, specs), start=1
    ):
        processed.append(result)
        if result.error:
            context.log.warning("Quarantined %s: %s", result.media_id, result.error)
        for place, writer in enumerate(writers):
            writer.add(result.media_id, [frame for frame in its_frames if frame.spec == place])
        of_first = [frame for frame in its_frames if frame.spec == 0]
        shown += montage_sample(of_first, done, len(raw_media))
        if done % PROGRESS_EVERY == 0:
            context.log.info("%d of %d media files decoded", done, len(raw_media))
    of_spec = {writer.spec: writer.finish() for writer in writers}
    crash_point(CrashPoint.FRAMES_SHARDED)
    _commit(catalog, key, of_spec, processed)
    crash_point(CrashPoint.FRAMES_COMMITTED)
    manifest = _manifest(of_spec, raw_media)
    metadata = _described(manifest, specs, processed, time.monotonic() - started)
    if shown:
        metadata["montage"] = picture(montage(list(map(decode_frame, shown))), "frames")
        metadata["quality"] = picture(quality_by_source(manifest), "quality of frames")
    return dg.MaterializeResult(metadata=metadata)


def _commit(
    catalog: Catalog,
    batch_key: str,
    of_spec: Mapping[PreprocessingSpec, Sequence[FrameRecord]],
    processed: Sequence[Processed],
) -> None:
    with catalog.begin() as session:
        for spec, frames in of_spec.items():
            count = Counter(frame.media_id for frame in frames)
            by_spec = [replace(each, frames=count[each.media_id]) for each in processed]
            commit_frames(session, batch_key, spec, frames, by_spec)


def _described(
    manifest: pd.DataFrame,
    specs: Sequence[PreprocessingSpec],
    processed: Sequence[Processed],
    seconds: float,
) -> dict[str, Any]:
    refused = [each.error.code for each in processed if each.error]
    return {
        ROW_COUNT: len(manifest),
        "frames": len(manifest),
        "media": len(processed),
        "quarantined": len(refused),
        "quarantined_by_code": dg.MetadataValue.json(dict(Counter(refused))),
        "specs": dg.MetadataValue.json([s.model_dump() | {"spec_id": s.spec_id} for s in specs]),
        "frames_per_second": len(manifest) / seconds,
        "first_rows": table(manifest, max_rows=5),
    }


def _manifest(
    of_spec: Mapping[PreprocessingSpec, Sequence[FrameRecord]], media: pd.DataFrame
) -> pd.DataFrame:
    source_of = dict(zip(media["media_id"], media["source"], strict=True))
    measured = (
        vars(frame)
        | {"spec_id": spec.spec_id, "source": source_of[str(frame.media_id)]}
        | dict(zip(FRAME_MEASURES, frame.quality, strict=True))
        for spec, frames in of_spec.items()
        for frame in frames
    )
    return frame_of(measured, COLUMNS)


def montage_sample(frames: list[EncodedFrame], position: int, media_count: int) -> list[bytes]:
    """Choose a montage's frames of the media file at `position` among `media_count`.

    A file that cannot be used has none.
    """
    if not frames or position % math.ceil(media_count / MONTAGE_FRAMES):
        return []
    most = MONTAGE_FRAMES // media_count or 1
    return [frame.encoded for frame in frames[:: math.ceil(len(frames) / most)]]


def _decode_all(
    media: pd.DataFrame, object_store: ObjectStore, specs: Sequence[PreprocessingSpec]
) -> Iterator[Result]:
    """Decode each media file by all specs, or say why it cannot be used."""
    rows = media[list(StoredFile._fields)].itertuples(index=False)
    with (
        tempfile.TemporaryDirectory(prefix="visionops-") as folder,
        Decoders(load_settings(), len(media)) as decoders,
    ):
        fetched = fetch_each(map(StoredFile._make, rows), object_store, Path(folder))
        for result, frames in decoders.decode(grouped(fetched, specs)):
            (Path(folder) / str(result.media_id)).unlink(missing_ok=True)
            yield result, frames
