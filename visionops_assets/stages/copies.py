"""Finds near copies among the media: hashes from the catalog, embeddings of frames in shards."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import numpy as np
import numpy.typing as npt

from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.copies import (
    ComparedFrame,
    count_without_frames,
    frames_to_compare,
    keep_hashes,
)
from visionops_assets.errors import DamagedShardError, NotFoundError
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.resources.shard_files import read_shard
from visionops_assets.settings import usable_cores
from visionops_assets.vision.crop_hashes import CROPS, Hashes, crop_hashes, read_hashes
from visionops_assets.vision.efficientnet import EMBEDDING_SIZE
from visionops_assets.vision.embedding import embed
from visionops_assets.vision.near_copies import (
    INPUT_PX,
    Candidates,
    as_compared,
    copies,
    joined,
    nearest_older,
)
from visionops_assets.vision.preprocessing import Frame, decode_frame

Progress = Callable[[str, int, int], None]
"""Takes what is done, how much of it, and of how much."""
Integers = npt.NDArray[np.int64]
PORTION = 256
"""Frames whose pixels, or pairs whose embeddings, are in memory at a time."""


@dataclass(frozen=True)
class Findings:
    """The near copies, each as a fact for people, and what could not be compared.

    `compared` and `without_frames` count files, `unread` frames of damaged shards.
    """

    copies: list[dict[str, Any]]
    compared: int
    without_frames: int
    unread: int


def find_copies(
    catalog: Catalog,
    object_store: ObjectStore,
    spec_id: str,
    *,
    source: str | None = None,
    since: datetime | None = None,
    progress: Progress,
) -> Findings:
    """Find the files that are near copies of older ones, among those of a source, or all.

    `since` looks for copies among the files stored at that time or later; they are compared with
    all before them. Frames that were never hashed are read and hashed first, once. Frames of
    damaged shards are left out.

    Raises:
        NotFoundError: no file of the source was ever processed.
    """
    with catalog.begin() as session:
        frames = frames_to_compare(session, spec_id, source)
        without_frames = count_without_frames(session, spec_id, source)
    if source is not None and not frames and not without_frames:
        raise NotFoundError(
            f"No file of the source {source!r} was processed. `visionops media show ID` says which "
            "source a file is of."
        )
    shards = _Shards(object_store, progress)
    hashes = _hash_the_rest(catalog, shards, frames)
    shown = [frame for frame in frames if hashes.get(frame.frame_id)]
    files, owners = _files_of(shown)
    old = sum(since is not None and frame.stored_at < since for frame in shown)
    every_hash = read_hashes([hashes[frame.frame_id] for frame in shown])
    found = _candidates(every_hash, owners, old, progress)
    similarity = _similarities(shards, shown, found)
    facts = [
        _described(files[copy.owner], files[copy.of], files[copy.group])
        | {"distance": copy.distance, "similarity": round(copy.similarity, 4)}
        for copy in copies(found, similarity, owners)
    ]
    return Findings(facts, len(files), without_frames, shards.unread)


class _Shards:
    """Reads frames from their shards, and counts those that are lost with one."""

    def __init__(self, object_store: ObjectStore, progress: Progress) -> None:
        self._object_store = object_store
        self._progress = progress
        self.unread = 0

    def read(
        self, doing: str, frames: Sequence[ComparedFrame], places: Integers
    ) -> Iterator[list[tuple[int, Frame]]]:
        """Yield the frames at these places, shard by shard, each with its place."""
        of_shard: dict[str, list[int]] = defaultdict(list)
        for place in places.tolist():
            of_shard[frames[place].shard_key].append(place)
        done = 0
        for key, its_places in sorted(of_shard.items()):
            try:
                shard = read_shard(self._object_store, key)
            except DamagedShardError:
                self.unread += len(its_places)
                done += len(its_places)
                continue
            for start in range(0, len(its_places), PORTION):
                some = its_places[start : start + PORTION]
                yield [(each, decode_frame(shard[str(frames[each].frame_id)])) for each in some]
                done += len(some)
                self._progress(doing, done, len(places))


def _hash_the_rest(
    catalog: Catalog, shards: _Shards, frames: Sequence[ComparedFrame]
) -> dict[UUID, bytes]:
    """Return the hashes by frame, once those that were made before there were any have theirs."""
    hashes = {each.frame_id: each.crop_hashes for each in frames if each.crop_hashes is not None}
    missing = np.array([i for i, each in enumerate(frames) if each.crop_hashes is None], np.int64)
    for read in shards.read("Hashed", frames, missing):
        new = {frames[place].frame_id: crop_hashes(frame) for place, frame in read}
        with catalog.begin() as session:
            keep_hashes(session, new)
        hashes |= new
    return hashes


def _files_of(frames: Sequence[ComparedFrame]) -> tuple[list[ComparedFrame], Integers]:
    """Return the first frame of each file, by age, and the file of each frame by its place."""
    place_of: dict[UUID, int] = {}
    owners = [place_of.setdefault(frame.media_id, len(place_of)) for frame in frames]
    places = np.array(owners, np.int64)
    return [frames[i] for i in np.unique(places, return_index=True)[1].tolist()], places


def _candidates(hashes: Hashes, owners: Integers, first: int, progress: Progress) -> Candidates:
    found = []
    for done, some in nearest_older(hashes, owners, first, usable_cores()):
        progress("Compared", done, len(hashes))
        found.append(some)
    return joined(found)


def _similarities(
    shards: _Shards, frames: Sequence[ComparedFrame], found: Candidates
) -> npt.NDArray[np.float32]:
    """Return the cosine of each pair of parts; nan where a frame could not be read."""
    parts = len(CROPS)
    newer = found.newer * parts + found.newer_crop
    older = found.older * parts + found.older_crop
    keys, position = np.unique(np.concatenate([newer, older]), return_inverse=True)
    # Half precision: 100,000 frames would else take a gigabyte, and the cosines need no more.
    vectors = np.full((len(keys), EMBEDDING_SIZE), np.nan, np.float16)
    for read in shards.read("Embedded", frames, np.unique(keys // parts)):
        pixels = dict(read)
        rows = np.flatnonzero(np.isin(keys // parts, list(pixels)))
        seen = [as_compared(pixels[key // parts], key % parts) for key in keys[rows].tolist()]
        vectors[rows] = embed(seen, INPUT_PX)
    cosines = np.empty(len(found), np.float32)
    for start in range(0, len(found), PORTION):
        pairs = slice(start, start + PORTION)
        one, other = (vectors[side[pairs]].astype(np.float32) for side in np.split(position, 2))
        cosines[pairs] = np.einsum("ij,ij->i", one, other)
    return cosines


def _described(copy: ComparedFrame, of: ComparedFrame, oldest: ComparedFrame) -> dict[str, Any]:
    return {
        "media_id": copy.media_id,
        "filename": copy.filename,
        "source": copy.source,
        "stored_at": copy.stored_at,
        "copy_of": of.media_id,
        "copy_of_filename": of.filename,
        "copy_of_source": of.source,
        "group": oldest.media_id,
    }
