"""Says where frames lie, and has those of damaged shards made again: the catalog for readers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select

from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.damage import make_again
from visionops_assets.catalog.schema import Frame, Media
from visionops_assets.contracts import MediaStatus
from visionops_assets.settings import load_settings
from visionops_assets.vision.places import Places

ASKED_AT_ONCE = 10_000
"""Frames."""


@dataclass(frozen=True)
class FramePlaces:
    """The catalog, as `vision.places.Whereabouts` has it."""

    catalog: Catalog

    def find(self, frame_ids: Sequence[str]) -> Places:
        """Return where frames (N) lie now.

        One that is forgotten, in quarantine, or of media that are made anew lies nowhere.
        """
        places = Places.nowhere(len(frame_ids))
        shards: dict[str, int] = {}
        for start in range(0, len(frame_ids), ASKED_AT_ONCE):
            asked = [UUID(each) for each in frame_ids[start : start + ASKED_AT_ONCE]]
            row_of = {frame_id: start + at for at, frame_id in enumerate(asked)}
            query = (
                select(
                    Frame.frame_id,
                    Frame.shard_key,
                    Frame.shard_offset,
                    Frame.frame_bytes,
                    Frame.content_hash,
                )
                .join(Media, Media.media_id == Frame.media_id)
                .where(Frame.frame_id.in_(asked), Media.status == MediaStatus.PROCESSED)
            )
            with self.catalog.begin() as session:
                for frame_id, key, offset, length, content_hash in session.execute(query):
                    row = row_of[frame_id]
                    places.shard[row] = shards.setdefault(key, len(shards))
                    places.offset[row], places.length[row] = offset, length
                    places.content_hash[row] = content_hash or ""
        places.shards.extend(shards)
        return places

    def have_made_again(self, damaged: Mapping[str, str]) -> int:
        """Note damaged shards, and announce their media once more; return how many."""
        with self.catalog.begin() as session:
            return make_again(session, load_settings().kafka_media_topic, damaged)
