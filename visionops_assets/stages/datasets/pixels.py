"""The pixels of labelled frames, read from their shards."""

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import pandas as pd

from visionops_assets.errors import DamagedShardError, ServerUnreachableError
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.resources.pixel_files import empty_images
from visionops_assets.resources.shard_files import read_shard
from visionops_assets.vision.preprocessing import decode_frame


def read_pixels(
    labels: pd.DataFrame, object_store: ObjectStore, size_px: int
) -> tuple[np.ndarray, dict[str, str]]:
    """Read the frames of a table with the columns `frame_id` and `shard_key`, shard by shard.

    A shard that the store fails on is tried once more after the others. If it fails again, though
    the store gave others, it counts as damaged.

    Returns:
        Images, uint8 of shape (N, S, S, 3) in RGB, on the disk, image i for row i; and, by key, why
        a shard is damaged: the images of its frames are black.

    Raises:
        ServerUnreachableError: the store fails on all shards.
        NoRoomError: the disk is too small for the images.
    """
    images = empty_images(len(labels), size_px)
    row_of = {frame_id: row for row, frame_id in enumerate(labels["frame_id"])}
    frames_of = {str(key): rows["frame_id"] for key, rows in labels.groupby("shard_key")}
    damaged: dict[str, str] = {}
    failures: dict[str, ServerUnreachableError] = {}
    for key in _once_more(frames_of, failures):
        try:
            shard = read_shard(object_store, key)
        except DamagedShardError as error:
            damaged[key] = str(error)
        except ServerUnreachableError as error:
            failures[key] = error
        else:
            failures.pop(key, None)
            for frame_id in frames_of[key]:
                images[row_of[frame_id]] = decode_frame(shard[frame_id])
    if len(failures) + len(damaged) == len(frames_of) and failures:
        raise next(iter(failures.values()))
    return images, damaged | {key: f"{error} It gives others." for key, error in failures.items()}


def _once_more(keys: Iterable[str], failures: Mapping[str, Exception]) -> Iterator[str]:
    """Yield the keys, in order, and then those that failed."""
    yield from sorted(keys)
    yield from sorted(failures)
