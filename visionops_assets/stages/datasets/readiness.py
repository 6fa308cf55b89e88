"""Decides whether to cut a snapshot. Pure, on counts of the catalog.

Many newly labelled frames make one at once. Fewer make one after a pause of the labels, if they are
a sensible share of the snapshot before, so that a user with few pictures does not wait for ever.
"""

import math

from visionops_assets.catalog.datasets import LabelBacklog
from visionops_assets.models.sections import Snapshots


def why_wait(
    backlog: LabelBacklog,
    declared: Snapshots,
    *,
    is_retraining: bool = False,
    is_arbiters: bool = False,
) -> str | None:
    """Say why no snapshot is cut yet, or None when it is time.

    A decision to retrain does not wait for more media: the frames that it counted are there, and
    some media are always on their way where labels never stop. While the arbiter is about to decide
    by these frames (`is_arbiters`) they are left to it, for its models are tried as a canary.
    """
    at_once = declared.min_new_labels
    if is_retraining:
        return None if backlog.new_frames else "There are no newly labelled frames to retrain on."
    after_pause = min(at_once, _least_after_pause(backlog, declared))
    if backlog.new_frames < after_pause:
        return (
            f"{_frames(backlog.new_frames)}: {after_pause} make a snapshot once labels pause, "
            f"{at_once} at once."
        )
    is_old = backlog.oldest_new_age_s >= declared.max_wait_s
    if backlog.media_waiting and not is_old:
        return f"{backlog.media_waiting} media files are on their way to frames."
    if is_arbiters and not is_old:
        return f"{_frames(backlog.new_frames)}: the retrain arbiter is about to decide by them."
    is_paused = backlog.newest_age_s >= declared.pause_s
    if backlog.new_frames < at_once and not is_paused:
        return (
            f"{_frames(backlog.new_frames)}: they make a snapshot when no label has come for "
            f"{declared.pause_s:g} s."
        )
    return None


def _least_after_pause(backlog: LabelBacklog, declared: Snapshots) -> int:
    return max(1, math.ceil(declared.min_new_share * backlog.snapshot_frames))


def _frames(count: int) -> str:
    return "1 newly labelled frame" if count == 1 else f"{count} newly labelled frames"
