"""How copies are found among the frames of a catalog, read from their shards."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID

import numpy as np
import pytest

from tests.resources.memory_store import MemoryStore
from tests.vision.real_pictures import FLOWER, PALACE, Frame, read, stretched
from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.copies import ComparedFrame
from visionops_assets.errors import NotFoundError
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.resources.shard_files import shard_key
from visionops_assets.stages import copies
from visionops_assets.stages.copies import Findings, find_copies
from visionops_assets.vision.crop_hashes import CROPS, crop_hashes, cut
from visionops_assets.vision.preprocessing import encode_frame
from visionops_assets.vision.shards import pack

START = datetime(2026, 3, 1, tzinfo=UTC)


class Shelf:
    """A catalog and a store with frames of files, each an hour younger than the one before."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.frames: list[ComparedFrame] = []
        self.store = MemoryStore()
        self.kept: dict[UUID, bytes] = {}
        self.said: list[tuple[str, int, int]] = []
        monkeypatch.setattr(copies, "frames_to_compare", lambda *_: self.frames)
        monkeypatch.setattr(copies, "count_without_frames", lambda *_: 0)
        monkeypatch.setattr(copies, "keep_hashes", self._keep)
        monkeypatch.setattr(copies, "PORTION", 3)

    @contextmanager
    def begin(self) -> Iterator[None]:
        yield None

    def _keep(self, _session: object, hashes: Mapping[UUID, bytes]) -> None:
        self.kept |= hashes

    def add(self, *pictures: Frame, is_hashed: bool = True) -> None:
        """Put frames of one file each into a shard of their own."""
        frames = [stretched(picture, 64) for picture in pictures]
        number = len(self.frames)
        ids = [UUID(int=number + place) for place in range(len(frames))]
        shard, _ = pack(
            (f"{each}.png", encode_frame(f)) for each, f in zip(ids, frames, strict=True)
        )
        key = shard_key("pp-1", f"media-0-{number}", shard)
        self.store.put(key, shard)
        for place, (frame_id, frame) in enumerate(zip(ids, frames, strict=True)):
            self.frames.append(
                ComparedFrame(
                    frame_id,
                    UUID(int=frame_id.int + 1_000),
                    key,
                    crop_hashes(frame) if is_hashed else None,
                    START + timedelta(hours=number + place),
                    "yard",
                    f"{number + place}.png",
                )
            )

    def find(self, **options: Any) -> Findings:
        store = cast("ObjectStore", self.store)
        return find_copies(
            cast("Catalog", self),
            store,
            "pp-1",
            progress=lambda *said: self.said.append(said),
            **options,
        )


@pytest.fixture
def shelf(monkeypatch: pytest.MonkeyPatch) -> Shelf:
    return Shelf(monkeypatch)


PICTURES = [read(PALACE), read(FLOWER)]
CROPPED = [cut(picture, CROPS[1]) for picture in PICTURES]


def pairs(findings: Findings) -> list[tuple[int, int]]:
    return [(fact["media_id"].int - 1_000, fact["copy_of"].int - 1_000) for fact in findings.copies]


@pytest.mark.parametrize("is_hashed", [True, False])
def test_copies_are_found_whether_frames_were_hashed_before_or_not(
    shelf: Shelf, is_hashed: bool
) -> None:
    shelf.add(*PICTURES, is_hashed=is_hashed)
    shelf.add(*CROPPED)
    findings = shelf.find()
    assert pairs(findings) == [(2, 0), (3, 1)]
    assert (findings.compared, findings.without_frames, findings.unread) == (4, 0, 0)
    fact = findings.copies[0]
    assert (fact["filename"], fact["copy_of_filename"], fact["source"]) == (
        "2.png",
        "0.png",
        "yard",
    )
    assert fact["stored_at"] == START + timedelta(hours=2)
    assert sorted(frame_id.int for frame_id in shelf.kept) == ([] if is_hashed else [0, 1])
    assert shelf.said[-1] == ("Embedded", 4, 4)
    assert ("Compared", 4, 4) in shelf.said


def test_only_the_newer_of_a_pair_must_be_new(shelf: Shelf) -> None:
    shelf.add(*PICTURES)
    shelf.add(*CROPPED)
    assert pairs(shelf.find(since=START + timedelta(hours=3))) == [(3, 1)]
    assert pairs(shelf.find(since=START + timedelta(hours=4))) == []


@pytest.mark.parametrize("is_hashed", [True, False])
def test_a_damaged_shard_costs_its_own_frames_alone(shelf: Shelf, is_hashed: bool) -> None:
    shelf.add(PICTURES[0], is_hashed=is_hashed)
    shelf.add(PICTURES[1], *CROPPED)
    shelf.store[shelf.frames[0].shard_key] = b"other bytes"
    findings = shelf.find()
    assert pairs(findings) == [(3, 1)]
    assert findings.unread == 1


def test_blank_frames_are_copies_of_nothing(shelf: Shelf) -> None:
    shelf.add(*[np.full((64, 64, 3), level, np.uint8) for level in (0, 0, 9)])
    findings = shelf.find()
    assert (findings.copies, findings.compared) == ([], 0)


def test_a_source_that_sent_nothing_is_said(shelf: Shelf) -> None:
    assert shelf.find().copies == []
    with pytest.raises(NotFoundError, match="'nowhere' was processed"):
        shelf.find(source="nowhere")
