"""Drafts a declaration from what a folder of somebody's files shows. Pure."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import yaml

from visionops_assets.models.loading import MODEL_TYPE

SIZES_PX = (32, 64, 96, 128)
"""Frames that small networks learn from in minutes on a CPU."""
FRAMES_BYTES = 1024**3
"""Training holds all frames in memory; a draft keeps them below this."""
ODD_SHAPE = 1.2
"""Longer sides, in shorter ones, from which stretching shows."""
BYTES_PER_PIXEL = 3


@dataclass(frozen=True)
class FolderFacts:
    """The files of a folder: images by class, the sizes (width, height) in pixels, videos."""

    images_by_class: Mapping[str, int]
    sizes_px: Sequence[tuple[int, int]]
    videos: int = 0


def frames_of(facts: FolderFacts) -> dict[str, object]:
    """Choose the fields of `frames` that differ from their defaults.

    Frames are no larger than half of the images' shorter sides, which adds no detail; pictures far
    from square keep their shape.
    """
    if not facts.sizes_px:
        return {}
    shorter = median(min(size) for size in facts.sizes_px)
    ratio = median(max(size) / min(size) for size in facts.sizes_px)
    images = max(1, sum(facts.images_by_class.values()))
    most_px = math.isqrt(FRAMES_BYTES // (images * BYTES_PER_PIXEL))
    fitting = [size for size in SIZES_PX if size <= min(shorter, most_px)]
    chosen: dict[str, object] = {"size_px": max(fitting, default=SIZES_PX[0])}
    if ratio >= ODD_SHAPE:
        chosen["resize"] = "letterbox"
    return chosen


def draft(name: str, task: str, facts: FolderFacts, *, default: bool) -> str:
    """Write a declaration as YAML, with what was seen as comments."""
    counted = sorted(facts.images_by_class.items())
    # A line break would end the comment.
    classes = ", ".join(f"{label} ({n:,})" for label, n in counted if label.isprintable())
    seen = [f"# Drafted from {sum(facts.images_by_class.values()):,} images: {classes}."]
    if facts.sizes_px:
        small, large = min(facts.sizes_px, key=math.prod), max(facts.sizes_px, key=math.prod)
        seen.append(f"# They have {small[0]} x {small[1]} to {large[0]} x {large[1]} pixels.")
    if facts.videos:
        seen.append(f"# Beside them there are {facts.videos:,} videos or other files.")
    attributes: dict[str, object] = {"name": name, "task": task}
    if default:
        attributes["default"] = True
    if frames := frames_of(facts):
        attributes["frames"] = frames
    body = yaml.safe_dump(
        {"type": MODEL_TYPE, "attributes": attributes}, sort_keys=False, allow_unicode=True
    )
    return "\n".join([*seen, "# Fields that are left out have their defaults.", body])
