"""Every odd or hostile file that ingest must have an answer to: made in code, small, always equal.

`CASES` maps the name of an uploaded file to its bytes and to what becomes of it.
"""

import io
import struct
import tempfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from tests.vision.heif import heic
from tests.vision.videos import (
    BROADCAST_CODECS,
    BROADCAST_HZ,
    corrected_packets,
    timed_packets,
    write_audio,
    write_video,
)
from visionops_assets.contracts import MediaKind

BOMB_SIDE_PX = 65_500
EXIF_ROTATED_CLOCKWISE = 6
PLAYLIST = b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n/etc/passwd\n#EXT-X-ENDLIST\n"
CONCAT_SCRIPT = b"ffconcat version 1.0\nfile /etc/passwd\n"
SVG = b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>"
XML = b"<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]><a>&b;</a>"
PDF = b"%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"


@dataclass(frozen=True)
class Case:
    """One file. `kind` is what its first bytes say, None if they are refused.

    `code` is that of the error, None for a file that becomes frames. Ingest refuses the file for
    all codes but `corrupt`, which is what the decoder finds: such a file is quarantined.

    Predictions are made without a sandbox: some formats are refused there, and damage that only
    the messages of a decoder or its checksums tell is not noticed.
    """

    make: Callable[[], bytes]
    kind: MediaKind | None
    code: str | None
    is_for_sandbox: bool = False
    is_told_in_sandbox: bool = False

    @property
    def predicted_code(self) -> str | None:
        """Return the code with which a prediction is refused, None if there is an answer."""
        if self.is_for_sandbox:
            return "unsupported_encoding"
        return None if self.is_told_in_sandbox else self.code


def picture() -> Image.Image:
    """Return a smooth picture, 48 x 32 RGB: red rises to the right, green downwards."""
    pixels = np.zeros((32, 48, 3), np.uint8)
    pixels[..., 0] = np.linspace(0, 255, 48)
    pixels[..., 1] = np.linspace(0, 255, 32)[:, None]
    return Image.fromarray(pixels)


def saved(image: Image.Image, file_format: str, **options: object) -> bytes:
    """Encode by Pillow."""
    file = io.BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()


def deep(mode: str, extension: str) -> bytes:
    """Encode the picture with 16 bits a sample, as `gray` or `rgb`."""
    samples = np.asarray(picture() if mode == "rgb" else picture().convert("L"), np.uint16) * 257
    return cv2.imencode(extension, samples[..., ::-1] if mode == "rgb" else samples)[1].tobytes()


def animated(file_format: str) -> bytes:
    """Encode the picture, then a white one."""
    second = Image.new("RGB", picture().size, "white")
    return saved(
        picture(), file_format, save_all=True, append_images=[second], duration=100, lossless=True
    )


def rotated() -> bytes:
    """Encode the picture as a camera does that was held upright: turned, with an EXIF note."""
    exif = Image.Exif()
    exif[274] = EXIF_ROTATED_CLOCKWISE
    return saved(picture().rotate(90, expand=True), "JPEG", exif=exif, quality=95)


def cut(data: bytes, keep: float) -> bytes:
    """Leave out the end of a file, and never a multiple of anything."""
    return data[: int(len(data) * keep) | 1]


def flipped(data: bytes) -> bytes:
    """Damage the byte in the middle of a file."""
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 0xFF]) + data[middle + 1 :]


def holed(jpeg: bytes) -> bytes:
    """Leave out the last samples of a JPEG, but not its end marker."""
    return cut(jpeg, 0.8) + b"\xff\xd9"


def lzw_hole() -> bytes:
    """Zero 40 bytes of an LZW TIFF: its decoder goes on, and leaves the rest black."""
    noise = np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8)
    data = saved(Image.fromarray(noise), "TIFF", compression="tiff_lzw")
    return data[:600] + bytes(40) + data[640:]


def deflate_hole() -> bytes:
    """Zero 20 bytes of a deflated TIFF: libtiff inflates what is left, and says nothing."""
    noise = np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8)
    data = saved(Image.fromarray(noise), "TIFF", compression="tiff_adobe_deflate")
    middle = len(data) // 2
    return data[:middle] + bytes(20) + data[middle + 20 :]


def fax_hole() -> bytes:
    """Zero 20 bytes of a fax."""
    noise = np.random.default_rng(0).integers(0, 256, (64, 96), np.uint8)
    data = saved(Image.fromarray(noise).convert("1"), "TIFF", compression="group4")
    middle = len(data) // 2
    return data[:middle] + bytes(20) + data[middle + 20 :]


def jpeg_in_tiff_hole() -> bytes:
    data = saved(picture().resize((480, 320)), "TIFF", compression="jpeg")
    middle = len(data) // 2
    return data[:middle] + bytes(40) + data[middle + 40 :]


def png_bomb() -> bytes:
    header = b"IHDR" + struct.pack(">IIBBBBB", BOMB_SIDE_PX, BOMB_SIDE_PX, 8, 2, 0, 0, 0)
    return saved(picture(), "PNG")[:12] + header + struct.pack(">I", zlib.crc32(header))


def jpeg_bomb() -> bytes:
    data = bytearray(saved(picture(), "JPEG"))
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = struct.pack(">HH", BOMB_SIDE_PX, BOMB_SIDE_PX)
    return bytes(data)


def gif_bomb() -> bytes:
    data = bytearray(saved(picture(), "GIF"))
    data[6:10] = struct.pack("<HH", BOMB_SIDE_PX, BOMB_SIDE_PX)
    return bytes(data)


def bmp_bomb() -> bytes:
    data = bytearray(saved(picture(), "BMP"))
    data[18:26] = struct.pack("<ii", BOMB_SIDE_PX, BOMB_SIDE_PX)
    return bytes(data)


def webp_bomb() -> bytes:
    data = bytearray(animated("WEBP"))
    data[24:30] = (BOMB_SIDE_PX - 1).to_bytes(3, "little") * 2
    return bytes(data)


def tiff_bomb() -> bytes:
    data = bytearray(saved(picture(), "TIFF"))
    for tag in (256, 257):
        entry = data.index(struct.pack("<HH", tag, 4))
        data[entry + 8 : entry + 12] = struct.pack("<I", BOMB_SIDE_PX)
    return bytes(data)


@cache
def video(
    extension: str, codec: str, times_s: Sequence[float], size: tuple[int, int] = (64, 48)
) -> bytes:
    """Encode one frame a time; see `write_video`."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"v.{extension}"
        return write_video(path, times_s, codec=codec, size=size).read_bytes()


def audio(extension: str) -> bytes:
    """Encode a second of silence."""
    with tempfile.TemporaryDirectory() as folder:
        return write_audio(Path(folder) / f"a.{extension}").read_bytes()


def video_bomb() -> bytes:
    """Return a WebM file whose track and first frame declare 16,383 x 16,383 pixels."""
    data = bytearray(video("webm", "libvpx", (0.0, 0.1), (256, 256)))
    for element in (b"\xb0\x82", b"\xba\x82"):  # PixelWidth, PixelHeight
        at = data.index(element + b"\x01\x00")
        data[at + 2 : at + 4] = b"\x3f\xff"
    frame = data.index(b"\x9d\x01\x2a")  # the start code of a VP8 key frame (RFC 6386, 9.1)
    data[frame + 3 : frame + 7] = b"\xff\x3f" * 2
    return bytes(data)


def zero_seconds() -> bytes:
    """Return an MP4 file with pictures, whose headers all declare a duration of zero."""
    data = bytearray(mp4())
    for box, offset in ((b"mvhd", 20), (b"tkhd", 24), (b"elst", 12), (b"mdhd", 20)):
        at = data.index(box) + offset
        data[at : at + 4] = bytes(4)
    return bytes(data)


TWO_SECONDS = tuple(i / 10 for i in range(20))


def times_of(codec: str) -> tuple[float, ...]:
    """Return times of 20 frames that a codec can have."""
    if codec in BROADCAST_CODECS:
        return tuple(i / BROADCAST_HZ for i in range(20))
    return TWO_SECONDS


mp4 = partial(video, "mp4", "libx264", TWO_SECONDS)


def _image(data: Callable[[], bytes], code: str | None = None) -> Case:
    return Case(data, MediaKind.IMAGE, code)


def _for_sandbox(data: Callable[[], bytes], code: str | None = None) -> Case:
    return Case(data, MediaKind.IMAGE, code, is_for_sandbox=True)


def _hole(data: Callable[[], bytes]) -> Case:
    return Case(data, MediaKind.IMAGE, "corrupt", is_told_in_sandbox=True)


def _video(data: Callable[[], bytes], code: str | None = None) -> Case:
    return Case(data, MediaKind.VIDEO, code)


def _foreign(data: bytes) -> Case:
    return Case(lambda: data, None, "unsupported_media_type")


def _saved(mode: str, file_format: str, **options: object) -> Case:
    return _image(lambda: saved(picture().convert(mode), file_format, **options))


def _saved_for(mode: str, code: str) -> Case:
    return _image(lambda: saved(picture().convert("L").convert(mode), "TIFF"), code)


CASES: dict[str, Case] = {
    "empty.jpg": Case(bytes, None, "empty"),
    "playlist.mp4": _foreign(PLAYLIST),
    "script.mp4": _foreign(CONCAT_SCRIPT),
    "drawing.svg": _foreign(SVG),
    "drawing.png": _foreign(SVG),
    "entities.xml": _foreign(XML),
    "document.pdf": _foreign(PDF),
    # Bombs.
    "bomb.png": _image(png_bomb, "too_many_pixels"),
    "bomb.jpg": _image(jpeg_bomb, "too_many_pixels"),
    "bomb.gif": _image(gif_bomb, "too_many_pixels"),
    "bomb.bmp": _image(bmp_bomb, "too_many_pixels"),
    "bomb.webp": _image(webp_bomb, "too_many_pixels"),
    "bomb.tiff": _image(tiff_bomb, "too_many_pixels"),
    "bomb.webm": _video(video_bomb, "too_many_pixels"),
    # Damage.
    "truncated.heic": _for_sandbox(lambda: cut(heic(np.asarray(picture())), 0.7), "corrupt"),
    "truncated.avif": _for_sandbox(lambda: cut(saved(picture(), "AVIF"), 0.7), "corrupt"),
    "truncated.jp2": _for_sandbox(lambda: cut(saved(picture(), "JPEG2000"), 0.7), "corrupt"),
    "truncated.ppm": _for_sandbox(lambda: cut(saved(picture(), "PPM"), 0.7), "corrupt"),
    "truncated.tga": _for_sandbox(lambda: cut(saved(picture(), "TGA"), 0.7), "corrupt"),
    "truncated.jpg": _image(lambda: cut(saved(picture(), "JPEG"), 0.7), "corrupt"),
    "truncated.png": _image(lambda: cut(saved(picture(), "PNG"), 0.7), "corrupt"),
    "truncated.webp": _image(lambda: cut(saved(picture(), "WEBP"), 0.7), "corrupt"),
    "truncated.gif": _image(lambda: cut(saved(picture(), "GIF"), 0.7), "corrupt"),
    "truncated.bmp": _image(lambda: cut(saved(picture(), "BMP"), 0.7), "corrupt"),
    "truncated.tiff": _image(lambda: cut(saved(picture(), "TIFF"), 0.7), "corrupt"),
    "holed.jpg": _image(lambda: holed(saved(picture(), "JPEG")), "corrupt"),
    "hole.lzw.tiff": _hole(lzw_hole),
    "hole.deflate.tiff": _hole(deflate_hole),
    "hole.fax.tiff": _hole(fax_hole),
    "hole.jpeg.tiff": _hole(jpeg_in_tiff_hole),
    "truncated-animation.png": _image(lambda: cut(animated("PNG"), 0.9), "corrupt"),
    "flipped.png": _image(lambda: flipped(saved(picture(), "PNG")), "corrupt"),
    "truncated.mp4": _video(lambda: cut(mp4(), 0.7), "corrupt"),
    "truncated.mkv": _video(lambda: cut(video("mkv", "libx264", TWO_SECONDS), 0.7), "corrupt"),
    "noise.mp4": _video(lambda: mp4()[:32] + bytes(range(8, 256)) * 40, "corrupt"),
    # Videos that ingest refuses.
    "audio.mp4": _video(lambda: audio("mp4"), "no_video_stream"),
    "audio.m4a": Case(lambda: audio("m4a"), None, "no_video_stream"),
    "no-frames.mp4": _video(lambda: video("mp4", "libx264", ()), "no_frames"),
    "no-frames.mkv": _video(lambda: video("mkv", "libx264", ()), "no_frames"),
    "no-frames.avi": _video(lambda: video("avi", "mpeg4", ()), "no_frames"),
    "zero-seconds.mp4": _video(zero_seconds, "no_frames"),
    "long.mkv": _video(lambda: video("mkv", "libx264", (0.0, 1e6)), "too_long"),
    "codec.avi": _video(lambda: video("avi", "flv", (0.0, 0.1)), "unsupported_codec"),
    "codec.flv": _video(lambda: video("flv", "flv", (0.0, 0.1)), "unsupported_codec"),
    "audio.flv": _video(lambda: audio("flv"), "no_video_stream"),
    "audio.wma": _video(lambda: audio("wma"), "no_video_stream"),
    # Sound, but of a coding that is not decoded.
    "float.tiff": _saved_for("F", "unsupported_encoding"),
    "32-bits.tiff": _saved_for("I", "unsupported_encoding"),
    # Odd, but sound.
    "phone.heic": _for_sandbox(lambda: heic(np.asarray(picture()))),
    "picture.avif": _for_sandbox(lambda: saved(picture(), "AVIF")),
    "picture.jp2": _for_sandbox(lambda: saved(picture(), "JPEG2000")),
    "picture.ppm": _for_sandbox(lambda: saved(picture(), "PPM")),
    "picture.tga": _for_sandbox(lambda: saved(picture(), "TGA")),
    "zstd.tiff": _for_sandbox(lambda: saved(picture(), "TIFF", compression="zstd")),
    "lzma.tiff": _for_sandbox(lambda: saved(picture(), "TIFF", compression="lzma")),
    "cmyk.jpg": _saved("CMYK", "JPEG", quality=95),
    "gray.jpg": _saved("L", "JPEG"),
    "progressive.jpg": _saved("RGB", "JPEG", progressive=True),
    "rotated.jpg": _image(rotated),
    "gray16.png": _image(partial(deep, "gray", ".png")),
    "rgb16.png": _image(partial(deep, "rgb", ".png")),
    "rgb16.tiff": _image(partial(deep, "rgb", ".tiff")),
    "alpha.png": _saved("RGBA", "PNG"),
    "alpha.webp": _saved("RGBA", "WEBP", lossless=True),
    "palette.png": _saved("P", "PNG"),
    "palette.gif": _saved("P", "GIF"),
    "palette.bmp": _saved("P", "BMP"),
    "bilevel.png": _saved("1", "PNG"),
    "bilevel.tiff": _saved("1", "TIFF"),
    "animated.gif": _image(partial(animated, "GIF")),
    "animated.webp": _image(partial(animated, "WEBP")),
    "animated.png": _image(partial(animated, "PNG")),
    "really-a-png.jpg": _saved("RGB", "PNG"),
    "sound.mp4": _video(mp4),
    "variable-rate.mkv": _video(lambda: video("mkv", "libx264", (5.0, 5.1, 6.2, 9.5))),
    "sound.m2ts": _video(lambda: timed_packets(video("ts", "libx264", TWO_SECONDS))),
    "sound.ts": _video(lambda: corrected_packets(video("ts", "libx264", TWO_SECONDS))),
    "sound.mpg": _video(lambda: video("mpg", "mpeg1video", times_of("mpeg1video"))),
    "sound.vob": _video(lambda: video("vob", "mpeg2video", times_of("mpeg2video"))),
    "sound.wmv": _video(lambda: video("wmv", "wmv2", TWO_SECONDS)),
    "sound.flv": _video(lambda: video("flv", "libx264", TWO_SECONDS)),
    "sound.ogv": _video(lambda: video("ogv", "libvpx", TWO_SECONDS)),
    "sound.mxf": _video(lambda: video("mxf", "mpeg2video", times_of("mpeg2video"))),
    "live.webm": _video(lambda: video("webm", "libvpx", TWO_SECONDS)),
}
