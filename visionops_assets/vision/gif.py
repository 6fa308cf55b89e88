"""Makes a GIF show its whole first picture (GIF89a): OpenCV paints by rules of its own.

It paints transparent pixels in the colour of the background, and refuses a picture that sticks out
of its canvas. Browsers and Pillow make the canvas larger.
"""

import struct

from visionops_assets.errors import CorruptMediaError

HEADER_BYTES = 13
EXTENSION, IMAGE = 0x21, 0x2C
GRAPHIC_CONTROL, IS_TRANSPARENT = 0xF9, 0x01
HAS_TABLE = 0x80
# A comment of 16 MB; hostile files must not keep us walking.
MAX_BLOCKS = 65_536


def gif_size(data: bytes) -> tuple[int, int]:
    """Read (width, height) in pixels: of the canvas, and of the first picture if it is known.

    Raises:
        struct.error: the header ends early.
    """
    width, height = struct.unpack_from("<HH", data, 6)
    try:
        _, descriptor = _first_picture(data)
        left, top, picture_width, picture_height = struct.unpack_from("<4H", data, descriptor + 1)
    except (IndexError, struct.error):
        return width, height
    return max(width, left + picture_width), max(height, top + picture_height)


def plain_gif(data: bytes) -> bytes:
    """Take the transparency off the first picture, and make the canvas hold it.

    Raises:
        CorruptMediaError: there is no picture, or one beyond the largest canvas.
    """
    try:
        control, _ = _first_picture(data)
        width, height = gif_size(data)
        patched = bytearray(data)
        struct.pack_into("<HH", patched, 6, width, height)
    except (IndexError, struct.error):
        raise CorruptMediaError("The GIF has no picture that can be shown.") from None
    if control is not None:
        patched[control] &= ~IS_TRANSPARENT
    return bytes(patched)


def _first_picture(data: bytes) -> tuple[int | None, int]:
    """Return where the flags of its control extension lie, if it has one, and its descriptor.

    Raises:
        IndexError: the file ends early, or has no picture.
    """
    flags = data[10]
    position = HEADER_BYTES + (3 * (2 << (flags & 7)) if flags & HAS_TABLE else 0)
    control: int | None = None
    steps = 0
    while data[position] == EXTENSION:
        if data[position + 1] == GRAPHIC_CONTROL:
            control = position + 3
        position += 2
        while data[position]:
            position += 1 + data[position]
            steps += 1
            if steps > MAX_BLOCKS:
                raise IndexError
        position += 1
    if data[position] != IMAGE:
        raise IndexError
    return control, position
