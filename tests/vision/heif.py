"""HEIC files, made of a key frame of HEVC and of boxes (ISO/IEC 23008-12)."""

import io
import struct
from collections.abc import Sequence

import av
import numpy as np
import numpy.typing as npt


def box(name: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), name) + body


def versioned(name: bytes, version: int, *parts: bytes) -> bytes:
    return box(name, struct.pack(">I", version << 24), *parts)


MIRRORED = box(b"imir", b"\1")  # the left becomes the right


def turned(quarters: int) -> bytes:
    """Return the property that turns a picture, anticlockwise."""
    return box(b"irot", bytes([quarters]))


# What turns a picture that is stored by an orientation of EXIF.
PROPERTIES: dict[int, Sequence[bytes]] = {
    1: (),
    2: (MIRRORED,),
    3: (turned(2),),
    4: (turned(2), MIRRORED),
    5: (turned(3), MIRRORED),
    6: (turned(3),),
    7: (turned(1), MIRRORED),
    8: (turned(1),),
}


def key_frame(pixels: npt.NDArray[np.uint8]) -> tuple[bytes, bytes]:
    """Encode a picture: the box of its decoder's configuration, and its sample."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        options = {"preset": "ultrafast", "crf": "4", "x265-params": "log-level=none:keyint=1"}
        stream = container.add_stream("libx265", rate=1, options=options)
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width = pixels.shape[:2]
        stream.pix_fmt = "yuv420p"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    data = file.getvalue()
    return _whole_box(data, b"hvcC"), _whole_box(data, b"mdat")[8:]


def _whole_box(data: bytes, name: bytes) -> bytes:
    start = data.index(name) - 4
    return data[start : start + int.from_bytes(data[start : start + 4], "big")]


def heic(
    pixels: npt.NDArray[np.uint8],
    properties: Sequence[bytes] = (),
    *,
    brand: bytes = b"heic",
    coding: bytes = b"hvc1",
) -> bytes:
    """Return a HEIC file of one picture, whose width and height are even."""
    configuration, sample = key_frame(pixels)
    height, width = pixels.shape[:2]
    size = versioned(b"ispe", 0, struct.pack(">II", width, height))
    every = (configuration, size, *properties)
    file_type = box(b"ftyp", brand, bytes(4), b"mif1heic")

    def meta(sample_at: int) -> bytes:
        places = bytes([0x44, 0]) + struct.pack(">HHHHII", 1, 1, 0, 1, sample_at, len(sample))
        uses = struct.pack(">IHB", 1, 1, len(every)) + bytes(
            0x80 | (index + 1) for index in range(len(every))
        )
        return versioned(
            b"meta",
            0,
            versioned(b"hdlr", 0, bytes(4), b"pict", bytes(13)),
            versioned(b"pitm", 0, struct.pack(">H", 1)),
            versioned(b"iloc", 0, places),
            versioned(
                b"iinf",
                0,
                struct.pack(">H", 1),
                versioned(b"infe", 2, struct.pack(">HH", 1, 0), coding + b"\0"),
            ),
            box(b"iprp", box(b"ipco", *every), versioned(b"ipma", 0, uses)),
        )

    sample_at = len(file_type) + len(meta(0)) + 8
    return file_type + meta(sample_at) + box(b"mdat", sample)
