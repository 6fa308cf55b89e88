"""Boxes of tools, in pixels or shares, by corners, points or angles, as boxes of ours."""

import math
from collections.abc import Iterable, Sequence
from contextlib import suppress

from pydantic import ValidationError

from visionops_assets.formats.records import RowError
from visionops_assets.tasks.annotations import MAX_SIDE_PX, Box

SLACK = 0.02
"""A box may reach beyond its picture by this share, as those of tools do; it is cut off there."""

Point = tuple[float, float]


def box_of_corners(label: str, left: float, top: float, right: float, bottom: float) -> Box:
    """Make a box of its corners, in shares of the picture.

    Raises:
        RowError: it has no area, or lies beyond the picture.
    """
    corners = (left, top, right, bottom)
    if not all(map(math.isfinite, corners)):
        raise RowError("A box has a corner that is no number.")
    if min(corners) < -SLACK or max(corners) > 1 + SLACK:
        raise RowError(
            f"A box of {label!r} reaches beyond the picture: does it have the size that the file "
            "says?"
        )
    left, top, right, bottom = (min(max(each, 0.0), 1.0) for each in corners)
    try:
        return Box(label=label, x=left, y=top, width=right - left, height=bottom - top)
    except ValidationError as error:
        found = error.errors()[0]
        named = ".".join(map(str, found["loc"])) or "it"
        raise RowError(f"A box of {label!r} cannot be used: {named}: {found['msg']}.") from None


def box_of_px(
    label: str, corners: tuple[float, float, float, float], size_px: tuple[int, int] | None
) -> Box:
    """Make a box of its left, top, right and bottom in pixels. See `box_of_corners`."""
    if size_px is None:
        raise RowError("The file does not say the width and height of the picture.")
    left, top, right, bottom = corners
    width, height = size_px
    return box_of_corners(label, left / width, top / height, right / width, bottom / height)


def enclosing(points: Iterable[Point]) -> tuple[float, float, float, float]:
    """Return left, top, right and bottom of the upright rectangle around points.

    Raises:
        RowError: there are no points.
    """
    found = list(points)
    if not found:
        raise RowError("A shape has no points.")
    across, down = zip(*found, strict=True)
    return min(across), min(down), max(across), max(down)


def turned(corners: Sequence[float], degrees: float, about: Point) -> list[Point]:
    """Turn the corners of a rectangle (left, top, right, bottom) clockwise about a point."""
    left, top, right, bottom = corners
    sine, cosine = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    middle, centre = about
    return [
        (
            middle + (x - middle) * cosine - (y - centre) * sine,
            centre + (x - middle) * sine + (y - centre) * cosine,
        )
        for x, y in ((left, top), (right, top), (right, bottom), (left, bottom))
    ]


def corners_px(box: Box, size_px: tuple[int, int]) -> tuple[float, float, float, float]:
    """Return left, top, right and bottom of a box in pixels, to a thousandth."""
    width, height = size_px
    shares = (box.x, box.y, box.x + box.width, box.y + box.height)
    left, top, right, bottom = (
        round(share * side, 3) for share, side in zip(shares, (*size_px, *size_px), strict=True)
    )
    return left, top, min(right, float(width)), min(bottom, float(height))


def size_of(width: object, height: object) -> tuple[int, int] | None:
    """Read the size of a picture, as number or text; None if the file says none."""
    sides = []
    for side in (width, height):
        number = number_of(side, "The picture's size") if side is not None and side != "" else 0.0
        if number != int(number) or not 0 <= number <= MAX_SIDE_PX:
            raise RowError(f"The picture's size is no number of pixels: {side!r}.")
        sides.append(int(number))
    return (sides[0], sides[1]) if all(sides) else None


def number_of(value: object, what: str) -> float:
    """Read a finite number.

    Raises:
        RowError: it is another thing; names `what` it should be.
    """
    number = math.nan
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        with suppress(ValueError, OverflowError):
            number = float(value)
    if not math.isfinite(number):
        raise RowError(f"{what} is no number: {str(value)[:40]!r}.")
    return number
