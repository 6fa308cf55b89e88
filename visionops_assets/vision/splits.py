"""Groups media that belong together, and chooses groups for the holdout. Never splits a group.

Copies and near copies on both sides of a split would make a holdout score a memory test.
"""

import hashlib
from collections import defaultdict
from collections.abc import Mapping
from math import ceil

import numpy as np
import pandas as pd
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

BLANK_HASH = "0" * 16


def group_media(frames: pd.DataFrame, window_s: float = 0) -> dict[str, str]:
    """Give each media file its group: a connected component over shared content, looks or time.

    `frames` have the columns `media_id`, `received_at`, `sha256` (of their file) and
    `perceptual_hash`; with a window also `source` and `captured_at`. Two files are linked by an
    equal SHA-256, by an equal perceptual hash of any frame, or if one source captured them within
    the same stretch of `window_s` seconds; hashes of blank frames link nothing. A group is named
    after the content of its oldest member, so newer media that join never rename it, and the same
    media are split alike anywhere. Only when media connect two groups, the younger takes the
    elder's name.
    """
    media = frames.drop_duplicates("media_id").sort_values(["received_at", "media_id"])
    rank = pd.Series(np.arange(len(media)), media["media_id"])
    looks = frames[frames["perceptual_hash"] != BLANK_HASH]
    of_file = rank[pd.concat([media["media_id"], looks["media_id"]])].to_numpy()
    # A look of 16 digits is no content of 64: both are traits.
    named = [media["sha256"], looks["perceptual_hash"]]
    if window_s:
        of_file = np.concatenate([of_file, np.arange(len(media))])
        named.append(_stretches(media, window_s))
    traits, names = pd.factorize(pd.concat(named))
    links = (np.ones(len(traits), np.bool_), (of_file, len(media) + traits))
    size = len(media) + len(names)
    _, component = connected_components(csr_array(links, shape=(size, size)), directed=False)
    _, oldest, of_component = np.unique(
        component[: len(media)], return_index=True, return_inverse=True
    )
    groups = media["sha256"].to_numpy()[oldest[of_component]]
    return dict(zip(media["media_id"], groups, strict=True))


def _stretches(media: pd.DataFrame, window_s: float) -> pd.Series:
    """Name the stretch of time in which each file was captured, with its source."""
    captured_s = pd.to_datetime(media["captured_at"], utc=True).astype("datetime64[us, UTC]")
    number = (captured_s.astype("int64") / 1e6 // window_s).astype("int64")
    return number.astype(str) + "@" + media["source"].astype(str)


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
