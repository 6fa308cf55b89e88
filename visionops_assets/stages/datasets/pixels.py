"""The pixels of labelled frames, read from their shards."""

import numpy as np
import pandas as pd

from visionops_assets.errors import DamagedShardError
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.stages.shard_files import read_shard
from visionops_assets.vision.preprocessing import decode_png


def read_pixels(
    labels: pd.DataFrame, object_store: ObjectStore, size_px: int
) -> tuple[np.ndarray, dict[str, str]]:
    """Read the frames of a table with the columns `frame_id` and `shard_key`, shard by shard.

    Returns:
        Images, uint8 of shape (N, S, S, 3) in RGB, image i for row i; and, by key, why a shard is
        damaged: the images of its frames are undefined.
    """
    images = np.empty((len(labels), size_px, size_px, 3), dtype=np.uint8)
    row_of = {frame_id: row for row, frame_id in enumerate(labels["frame_id"])}
    damaged: dict[str, str] = {}
    for key, frames in labels.groupby("shard_key", sort=True):
        try:
            shard = read_shard(object_store, str(key))
        except DamagedShardError as error:
            damaged[str(key)] = str(error)
            continue
        for frame_id in frames["frame_id"]:
            images[row_of[frame_id]] = decode_png(shard[f"{frame_id}.png"])
    return images, damaged
