"""Erases media and all that was made of them. Killed anywhere, it goes on where it was.

First a tombstone per content goes to the bucket, which no restore of the database loses. Then one
transaction forgets the media in the catalog: from there on nothing uses them. What is left is work
that the catalog lists: shards to write anew, and objects to erase.
"""

import json
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from visionops_assets.catalog import forgetting
from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.damage import make_again
from visionops_assets.catalog.schema import Frame
from visionops_assets.crash_points import CrashPoint, crash_point
from visionops_assets.errors import DamagedArtifactError, DamagedShardError, NotFoundError
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.resources.shard_files import read_shard
from visionops_assets.resources.snapshot_files import IMAGES_FILE, drop_copies
from visionops_assets.settings import load_settings
from visionops_assets.vision.shards import digest_of, pack

AT_ONCE = 1_000
"""Media per transaction, and objects per listing."""
STAYS = (
    "Images in the topic `predictions` stay until its retention ends.",
    "Pictures in Dagster's metadata and in MLflow's runs may show single frames: delete the runs "
    "of the snapshots and versions that are named.",
    "Folders of versions hold up to 64 pictures of the holdout, to verify them: remove "
    "those of the versions that are named once another one serves.",
    "Tables below tables/ name labels and hashes until the next snapshot replaces them.",
    "Backups of the databases have the rows until they are deleted; a restored one forgets again.",
)


@dataclass(frozen=True)
class Report:
    """The effect of an erasure, and the places that it cannot reach."""

    dry_run: bool
    found: forgetting.Traces
    shards_rewritten: int
    objects_erased: int
    stays: tuple[str, ...] = STAYS

    def facts(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return asdict(self.found) | {
            name: value for name, value in vars(self).items() if name != "found"
        }


@dataclass(frozen=True)
class Forgetting:
    """Erases by the catalog and the store; `erase` removes all versions of an object."""

    catalog: Catalog
    object_store: ObjectStore
    erase: Callable[[str], object]
    tell: Callable[[str], None]

    def forget(self, media_ids: Collection[UUID], *, dry_run: bool = False) -> Report:
        """Erase media, and what another erasure left undone; or only say what would be."""
        ids = sorted(media_ids)
        with self.catalog.begin() as session:
            # The same content from another source is the same picture.
            contents = forgetting.contents_of(session, ids)
            ids = sorted({*ids, *forgetting.media_of_contents(session, contents)})
            found = forgetting.traces_of(session, ids)
        if dry_run:
            return Report(True, found, found.shards, 0)
        for sha256 in sorted(contents):
            self._put_tombstone(sha256)
        for start in range(0, len(ids), AT_ONCE):
            with self.catalog.begin() as session:
                forgetting.begin(session, ids[start : start + AT_ONCE])
            crash_point(CrashPoint.FORGET_BEGUN)
        return Report(False, found, *self._finish())

    def resume(self) -> Report:
        """Do what tombstones in the bucket and lists of the catalog ask for."""
        keys = self.object_store.list_keys(forgetting.TOMBSTONES)
        wanted = {key.removeprefix(forgetting.TOMBSTONES) for key in keys}
        with self.catalog.begin() as session:
            missing = wanted - forgetting.forgotten_contents(session)
            # Of one content a copy may be forgotten, and another not yet.
            back = forgetting.media_of_contents(session, wanted)
            unknown = missing - forgetting.contents_of(session, back)
            for sha256 in sorted(unknown):
                forgetting.add_tombstone(session, sha256)
        return self.forget(back)

    def _put_tombstone(self, sha256: str) -> None:
        noted = {"sha256": sha256, "forgotten_at": datetime.now(UTC).isoformat()}
        self.object_store.put(f"{forgetting.TOMBSTONES}{sha256}", json.dumps(noted).encode())

    def _finish(self) -> tuple[int, int]:
        """Write shards anew and erase objects until the catalog lists none."""
        self._drop_copies()
        rewritten = self._rewrite_shards()
        return rewritten, self._erase_objects()

    def _drop_copies(self) -> None:
        """Take the pixels out of snapshots of earlier versions, which have copies."""
        with self.catalog.begin() as session:
            snapshots = forgetting.snapshots_with_forgotten(session)
        for snapshot in snapshots:
            # Noted first: killed after it, nobody would know of them.
            with self.catalog.begin() as session:
                forgetting.note_objects(session, [f"{snapshot.object_prefix}/{IMAGES_FILE}"])
            try:
                drop_copies(self.object_store, snapshot.snapshot_id, int(snapshot.spec["size_px"]))
            except (NotFoundError, DamagedArtifactError) as error:
                self.tell(f"{error} Its copy of pixels is erased.")

    def _rewrite_shards(self) -> int:
        rewritten = 0
        while True:
            with self.catalog.begin() as session:
                keys = forgetting.shards_to_rewrite(session, AT_ONCE)
            if not keys:
                return rewritten
            for key in keys:
                self._rewrite(key)
                rewritten += 1
                if rewritten % 100 == 0:
                    self.tell(f"{rewritten:,} shards are written anew.")

    def _rewrite(self, key: str) -> None:
        """Write a shard without its forgotten frames, verify it, and let the others point to it."""
        with self.catalog.begin() as session:
            frames = forgetting.frames_of_shard(session, key)
            kept = [frame for frame, is_forgotten in frames if not is_forgotten]
            try:
                if kept:
                    self._move(key, kept)
            except DamagedShardError as error:
                # The others are made anew, from media: what is forgotten may not wait for that.
                make_again(session, load_settings().kafka_media_topic, {key: str(error)})
            for frame, is_forgotten in frames:
                if is_forgotten:
                    session.delete(frame)
            session.flush()
            forgetting.note_objects(session, [key])
        crash_point(CrashPoint.FORGET_SHARD_SWITCHED)

    def _move(self, key: str, frames: list[Frame]) -> None:
        encoded = read_shard(self.object_store, key)
        ending = ".png" if encoded[str(frames[0].frame_id)].startswith(b"\x89PNG") else ".jpg"
        named = [(f"{each.frame_id}{ending}", encoded[str(each.frame_id)]) for each in frames]
        data, entries = pack(named)
        new_key = f"{key.rpartition('/')[0]}/{digest_of(data)}.tar"
        self.object_store.put(new_key, data)
        crash_point(CrashPoint.FORGET_SHARD_WRITTEN)
        read_shard(self.object_store, new_key)
        for frame, (_, content), entry in zip(frames, named, entries, strict=True):
            frame.shard_key, frame.shard_offset = new_key, entry.offset
            frame.frame_bytes, frame.content_hash = entry.length, digest_of(content)

    def _erase_objects(self) -> int:
        erased = 0
        while True:
            with self.catalog.begin() as session:
                keys = forgetting.objects_to_erase(session, AT_ONCE)
            if not keys:
                return erased
            for key in keys:
                self.erase(key)
                crash_point(CrashPoint.FORGET_OBJECT_ERASED)
                with self.catalog.begin() as session:
                    forgetting.erased(session, [key])
                erased += 1
