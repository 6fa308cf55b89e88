"""Packs frames into shards of the object store as they come."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID, uuid5

from visionops_assets.catalog.processing import FrameRecord
from visionops_assets.contracts import PreprocessingSpec
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.resources.shard_files import shard_key
from visionops_assets.vision.sandbox.decoder import EncodedFrame
from visionops_assets.vision.shards import digest_of, pack


@dataclass
class ShardWriter:
    """Writes tar shards under `shards/<spec>/<batch>/`, named by their content.

    A batch that runs again over the same media writes the same keys.
    """

    object_store: ObjectStore
    spec: PreprocessingSpec
    batch_key: str
    max_bytes: int
    _records: list[FrameRecord] = field(default_factory=list)
    _pending: list[tuple[UUID, EncodedFrame]] = field(default_factory=list)
    _pending_bytes: int = 0

    def add(self, media_id: UUID, frames: Sequence[EncodedFrame]) -> None:
        """Take the frames of one media file; a full shard is written at once."""
        for frame in frames:
            self._pending.append((media_id, frame))
            self._pending_bytes += len(frame.encoded)
            if self._pending_bytes >= self.max_bytes:
                self._flush()

    def finish(self) -> list[FrameRecord]:
        """Write the last shard, and return the place of every frame."""
        self._flush()
        return self._records

    def _flush(self) -> None:
        if not self._pending:
            return
        ids = [self._frame_id(media_id, frame.index) for media_id, frame in self._pending]
        ending = ".png" if self.spec.jpeg_quality is None else ".jpg"
        encoded = [frame.encoded for _, frame in self._pending]
        data, entries = pack(zip([f"{each}{ending}" for each in ids], encoded, strict=True))
        key = shard_key(self.spec.spec_id, self.batch_key, data)
        self.object_store.put(key, data)
        for frame_id, (media_id, frame), entry in zip(ids, self._pending, entries, strict=True):
            self._records.append(
                FrameRecord(
                    frame_id=frame_id,
                    media_id=media_id,
                    frame_index=frame.index,
                    time_s=frame.time_s,
                    perceptual_hash=frame.perceptual_hash,
                    shard_key=key,
                    shard_offset=entry.offset,
                    frame_bytes=entry.length,
                    content_hash=digest_of(frame.encoded),
                    quality=list(frame.quality),
                    crop_hashes=frame.crop_hashes,
                )
            )
        self._pending = []
        self._pending_bytes = 0

    def _frame_id(self, media_id: UUID, frame_index: int) -> UUID:
        return uuid5(media_id, f"{self.spec.spec_id}/{frame_index}")
