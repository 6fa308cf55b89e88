"""Snapshots as versions before wrote them: with a copy of all pixels."""

import hashlib
import io

import numpy as np
import pandas as pd

from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.resources.snapshot_files import MEMBER_COLUMNS, snapshot_prefix

EARLIER_COLUMNS = [name for name in MEMBER_COLUMNS if name not in {"content_hash", "size_px"}]


def write_with_images(
    object_store: ObjectStore, snapshot_id: str, images: np.ndarray, members: pd.DataFrame
) -> None:
    """Write images, uint8 (N, S, S, 3), and their members, which lack what came later."""
    prefix = snapshot_prefix(snapshot_id)
    copied = io.BytesIO()
    np.save(copied, np.ascontiguousarray(images))
    files = {"images.npy": copied.getvalue(), "members.parquet": members.to_parquet(index=False)}
    sums = "".join(f"{hashlib.sha256(d).hexdigest()}  {name}\n" for name, d in files.items())
    for name, data in {"SHA256SUMS": sums.encode(), **files}.items():
        object_store.put(f"{prefix}/{name}", data)
