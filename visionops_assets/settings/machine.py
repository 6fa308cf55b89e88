"""Finds how much of this machine the process may use."""

import math
import os
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")


def usable_cores(cgroups: Path = CGROUPS) -> int:
    """Count the cores that this process may use, by its affinity and its container's limit.

    A pod with a limit of two cores sees all cores of its node, and loses time if it uses as many
    threads.
    """
    allowed = len(os.sched_getaffinity(0))
    limit = _limit_v2(cgroups) or _limit_v1(cgroups)
    return max(1, min(allowed, math.ceil(limit))) if limit else allowed


def _limit_v2(cgroups: Path) -> float | None:
    try:
        quota, period = (cgroups / "cpu.max").read_text().split()
    except (OSError, ValueError):
        return None
    return None if quota == "max" else int(quota) / int(period)


def _limit_v1(cgroups: Path) -> float | None:
    try:
        quota_us, period_us = (
            int((cgroups / "cpu" / f"cpu.cfs_{name}_us").read_text())
            for name in ("quota", "period")
        )
    except (OSError, ValueError):
        return None
    return quota_us / period_us if quota_us > 0 else None
