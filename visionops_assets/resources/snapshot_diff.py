"""Compares the members of two snapshots: what came, went, changed its label or its side. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

COLUMNS = ("frame_id", "media_id", "label", "split")
KINDS = ("came", "went", "relabelled", "moved")


@dataclass(frozen=True)
class Difference:
    """Members (rows of `COLUMNS`) in which two snapshots differ.

    `relabelled` have `label_before` as well, `moved` have `split_before`. One frame may be in both.
    `same` is the number of frames that are in both snapshots and equal.
    """

    came: pd.DataFrame
    went: pd.DataFrame
    relabelled: pd.DataFrame
    moved: pd.DataFrame
    same: int

    @property
    def counts(self) -> dict[str, Any]:
        """Return how many frames differ in each way, and of what labels and sides they are."""
        relabelled, moved = self.relabelled, self.moved
        return {
            **{kind: len(getattr(self, kind)) for kind in KINDS},
            "same": self.same,
            "came_by_label": _counted(self.came["label"]),
            "went_by_label": _counted(self.went["label"]),
            "relabelled_by_labels": _counted(
                relabelled["label_before"] + " -> " + relabelled["label"]
            ),
            "moved_by_sides": _counted(moved["split_before"] + " -> " + moved["split"]),
        }

    def samples(self, most: int) -> list[dict[str, Any]]:
        """Return up to `most` frames of each kind, evenly spread, with their `change`."""
        rows: list[dict[str, Any]] = []
        for kind in KINDS:
            frames = getattr(self, kind)
            places = np.linspace(0, len(frames) - 1, min(most, len(frames))).astype(int)
            rows += [{"change": kind, **row} for row in frames.iloc[places].to_dict("records")]
        return rows


def compare(before: pd.DataFrame, after: pd.DataFrame) -> Difference:
    """Compare the members of two snapshots (N and M rows, in any order) by their frames.

    Frames of another spec are other frames, though they are of the same media.
    """
    before, after = _plain(before), _plain(after)
    place = _places(before, after)
    is_kept = place >= 0
    old, new = before.iloc[place[is_kept]].reset_index(drop=True), after[is_kept]
    new = new.reset_index(drop=True)
    is_gone = np.ones(len(before), np.bool_)
    is_gone[place[is_kept]] = False
    has_new_label = (old["label"] != new["label"]).to_numpy(np.bool_)
    has_moved = (old["split"] != new["split"]).to_numpy(np.bool_)
    return Difference(
        came=after[~is_kept].reset_index(drop=True),
        went=before[is_gone].reset_index(drop=True),
        relabelled=_with_before(new, old, "label", has_new_label),
        moved=_with_before(new, old, "split", has_moved),
        same=int((~has_new_label & ~has_moved).sum()),
    )


def summary(members: pd.DataFrame) -> list[dict[str, Any]]:
    """Count the members of a snapshot per label: frames of each side, files and groups."""
    by_label = members.groupby("label", sort=True)
    sides = pd.crosstab(members["label"], members["split"])
    files, groups = by_label["media_id"].nunique(), by_label["group_id"].nunique()
    return [
        {
            "label": str(label),
            **{side: int(sides.get(side, {}).get(label, 0)) for side in ("train", "holdout")},
            "media": int(files[label]),
            "groups": int(groups[label]),
        }
        for label in files.index
    ]


def _plain(members: pd.DataFrame) -> pd.DataFrame:
    plain = members[list(COLUMNS)]
    return plain.drop_duplicates("frame_id") if not plain["frame_id"].is_unique else plain


def _places(before: pd.DataFrame, after: pd.DataFrame) -> npt.NDArray[np.intp]:
    """Return the row of each frame of `after` (M) in `before`; -1 where it is new."""
    found: npt.NDArray[np.intp] = pd.Index(before["frame_id"]).get_indexer(
        pd.Index(after["frame_id"])
    )
    return found


def _with_before(
    new: pd.DataFrame, old: pd.DataFrame, column: str, mask: npt.NDArray[np.bool_]
) -> pd.DataFrame:
    changed = new[mask].copy()
    changed[f"{column}_before"] = old.loc[mask, column].to_numpy()
    return changed.reset_index(drop=True)


def _counted(texts: "pd.Series[Any]") -> dict[str, int]:
    counts = texts.value_counts()
    return {str(text): int(count) for text, count in sorted(counts.items(), key=_by_count)}


def _by_count(each: Sequence[Any]) -> tuple[int, str]:
    return -int(each[1]), str(each[0])
