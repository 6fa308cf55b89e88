"""Named points at which a process may die, so that tests can kill it exactly there.

A point is armed by a file of its name in `VISIONOPS_CRASH_POINTS_DIR`; the process that passes
first removes the file and kills itself with SIGKILL, as a power cut would. Without the setting no
file is looked for.
"""

import os
import signal
from enum import StrEnum

from visionops_assets.settings import load_settings


class CrashPoint(StrEnum):
    """Points where a crash must lose nothing and do nothing twice; each is passed in one place."""

    UPLOAD_INTENT_COMMITTED = "upload.intent_committed"
    UPLOAD_OBJECT_STORED = "upload.object_stored"
    UPLOAD_ACKNOWLEDGED = "upload.acknowledged"
    UPLOAD_OBJECT_DISCARDED = "upload.object_discarded"
    RESUMABLE_PART_STORED = "resumable.part_stored"
    RESUMABLE_COMPLETED = "resumable.completed"
    RELAY_PUBLISHED = "relay.published"
    RELAY_MARKED = "relay.marked"
    SWEEP_CLAIMED = "sweep.claimed"
    SWEEP_OBJECT_DELETED = "sweep.object_deleted"
    SENSOR_BATCHES_CUT = "sensor.batches_cut"
    BATCH_EVENTS_TAKEN = "batch.events_taken"
    FRAMES_SHARDED = "frames.sharded"
    FRAMES_COMMITTED = "frames.committed"
    RELEASE_LOCKED = "release.locked"
    RELEASE_FOLDER_WRITTEN = "release.folder_written"
    RELEASE_REHEARSING = "release.rehearsing"
    RELEASE_REHEARSED = "release.rehearsed"
    RELEASE_SWITCHED = "release.switched"
    RELEASE_COMMITTED = "release.committed"
    FORGET_BEGUN = "forget.begun"
    FORGET_SHARD_WRITTEN = "forget.shard_written"
    FORGET_SHARD_SWITCHED = "forget.shard_switched"
    FORGET_OBJECT_ERASED = "forget.object_erased"
    ROLLOUT_LOADED = "rollout.loaded"


def crash_point(point: CrashPoint) -> None:
    """Die here if a test armed this point; otherwise do nothing."""
    folder = load_settings().crash_points_dir
    if folder is None:
        return
    try:
        (folder / point.value).unlink()
    except FileNotFoundError:
        return
    os.kill(os.getpid(), signal.SIGKILL)
