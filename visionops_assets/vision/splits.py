"""Groups media that belong together, and chooses groups for the holdout. Never splits a group.

Copies and near copies on both sides of a split would make a holdout score a memory test.
"""

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import ceil
from uuid import UUID

BLANK_HASH = "0" * 16


@dataclass(frozen=True)
class MediaFingerprint:
    """The features that show two media files to be alike: their content, and each frame's look."""

    media_id: UUID
    received_at: datetime
    sha256: str
    perceptual_hashes: tuple[str, ...]


def group_media(media: Sequence[MediaFingerprint]) -> dict[UUID, str]:
    """Give each media file its group: a connected component over shared content or shared looks.

    Two files are linked by an equal SHA-256 or by an equal perceptual hash of any frame; hashes of
    blank frames link nothing. A group is named after the content of its oldest member, so newer
    media that join never rename it, and the same media in the same order are split alike anywhere.
    Only when media connect two groups, the younger takes the elder's name.
    """
    by_age = sorted(media, key=lambda item: (item.received_at, item.media_id.int))
    parents = list(range(len(by_age)))
    oldest_with: dict[str, int] = {}
    for age_rank, item in enumerate(by_age):
        for trait in _traits(item):
            roots = (
                _root(parents, oldest_with.setdefault(trait, age_rank)),
                _root(parents, age_rank),
            )
            parents[max(roots)] = min(roots)
    return {
        item.media_id: by_age[_root(parents, age_rank)].sha256
        for age_rank, item in enumerate(by_age)
    }


def _traits(item: MediaFingerprint) -> set[str]:
    return {item.sha256, *item.perceptual_hashes} - {BLANK_HASH}


def _root(parents: list[int], index: int) -> int:
    while parents[index] != index:
        parents[index] = parents[parents[index]]  # halves the path for the next search
        index = parents[index]
    return index


def hold_out(
    label_of: Mapping[str, str], known: Mapping[str, bool], holdout_percent: int
) -> dict[str, bool]:
    """Decide for each group, named with its label, whether it goes into the holdout.

    `known` groups never change sides. Of the others, those with the lowest hashes fill the holdout
    of each class up to its share: by chance alone a class of 25 groups would have fewer than 5
    there as often as not. Where known groups were split otherwise, new ones make up for it little
    by little, with between half and twice their own share, since both sides must see new media. The
    same groups are split alike on any machine.
    """
    of_class: dict[str, list[str]] = defaultdict(list)
    for group, label in label_of.items():
        of_class[label].append(group)
    held = {group: known.get(group, False) for group in label_of}
    for groups in of_class.values():
        wanted = (len(groups) * holdout_percent + 50) // 100
        new = sorted((group for group in groups if group not in known), key=_rank)
        least, most = len(new) * holdout_percent // 200, ceil(len(new) * holdout_percent / 50)
        missing = min(max(wanted - sum(held[group] for group in groups), least), most)
        held |= dict.fromkeys(new[:missing], True)
    return held


def _rank(group_id: str) -> bytes:
    """Return a hash that orders groups independently of their content."""
    return hashlib.sha256(f"holdout:{group_id}".encode()).digest()
