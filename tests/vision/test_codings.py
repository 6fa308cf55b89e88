"""A sound file whose coding is not decoded is not called damaged, and becomes no black frame."""

import struct
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from tests.vision.corpus import picture, saved
from tests.vision.tiffs import packed, tiff
from visionops_assets.contracts import PreprocessingSpec
from visionops_assets.errors import CorruptMediaError, UnsupportedEncodingError
from visionops_assets.vision.framing import preprocess_pixels
from visionops_assets.vision.headers import ImageFormat
from visionops_assets.vision.inspection import check_image_header
from visionops_assets.vision.preprocessing import Frame, preprocess_image
from visionops_assets.vision.second_decoder import decode_by_pillow

SIZE = (32, 16)
RAMP = np.linspace(0, 255, SIZE[0]).astype(int)[None].repeat(SIZE[1], 0)
RGB = np.dstack([RAMP, RAMP[:, ::-1], np.full_like(RAMP, 90)])
SPEC = PreprocessingSpec(size_px=32, resize="letterbox")

in_sandbox = partial(
    preprocess_image, spec=SPEC, max_pixels=10_000, second_decoder=decode_by_pillow
)
in_process = partial(preprocess_image, spec=SPEC, max_pixels=10_000)


def shown(data: bytes, decode: Callable[[bytes], Frame]) -> Frame:
    """Return the pixels of a picture of 32 x 16, which fills the middle of its frame."""
    return decode(data)[8:24]


def gray(bits: int, *, is_white_0: bool = False, compression: int = 1) -> bytes:
    most = (1 << bits) - 1
    levels = np.rint(RAMP / 255 * most).astype(int)
    data = packed(most - levels if is_white_0 else levels, bits)
    return tiff(data, SIZE, bits=bits, photometric=0 if is_white_0 else 1, compression=compression)


def rgb(bits: int = 8, *, compression: int = 1, sample_format: int = 1) -> bytes:
    data = packed(np.rint(RGB / 255 * ((1 << bits) - 1)).astype(int), bits)
    if bits == 16:
        data = np.frombuffer(data, ">u2").astype("<u2").tobytes()
    return tiff(
        data,
        SIZE,
        bits=bits,
        samples=3,
        photometric=2,
        compression=compression,
        sample_format=sample_format,
    )


def by_pillow(compression: str, mode: str = "RGB") -> bytes:
    image = Image.fromarray(RGB.astype(np.uint8)).convert(mode)
    return saved(image, "TIFF", compression=compression)


def premultiplied(alpha: int) -> bytes:
    samples = np.dstack([np.rint(RGB * alpha / 255).astype(int), np.full_like(RAMP, alpha)])
    fields = {338: (1,)}
    return tiff(packed(samples, 8), SIZE, samples=4, photometric=2, fields=fields)


def old_jpeg() -> bytes:
    jpeg = saved(Image.fromarray(RGB.astype(np.uint8)), "JPEG", quality=100, subsampling=0)
    fields = {512: (1,), 513: (0,), 514: (len(jpeg),)}
    return tiff(jpeg, SIZE, samples=3, photometric=6, compression=6, fields=fields)


BY_THE_SECOND: dict[str, tuple[Callable[[], bytes], npt.NDArray[Any] | None, int]] = {
    "ZSTD": (partial(by_pillow, "zstd"), RGB, 0),
    "LZMA": (partial(by_pillow, "lzma"), RGB, 0),
    "gray ZSTD": (partial(by_pillow, "zstd", "L"), None, 1),
    "old-style JPEG": (old_jpeg, RGB, 6),
    "2 bits": (partial(gray, 2), np.rint(RAMP / 85) * 85, 0),
    "2 bits, white is 0": (partial(gray, 2, is_white_0=True), np.rint(RAMP / 85) * 85, 0),
    "4 bits": (partial(gray, 4), np.rint(RAMP / 17) * 17, 0),
    "12 bits": (partial(gray, 12), RAMP, 1),
    "premultiplied": (partial(premultiplied, 128), RGB, 2),
    "premultiplied by 0": (partial(premultiplied, 0), np.zeros_like(RGB), 0),
}


@pytest.mark.parametrize("name", BY_THE_SECOND)
def test_the_second_decoder_knows_these(name: str) -> None:
    make, expected, tolerance = BY_THE_SECOND[name]
    check_image_header(make(), max_pixels=10_000, has_second_decoder=True)
    frame = shown(make(), in_sandbox).astype(int)
    if expected is not None:
        expected = expected if expected.ndim == 3 else np.dstack([expected] * 3)
        assert np.abs(frame - expected).max() <= tolerance


@pytest.mark.parametrize("name", BY_THE_SECOND)
def test_where_there_is_none_the_answer_names_the_coding(name: str) -> None:
    make, _, _ = BY_THE_SECOND[name]
    for refuse in (in_process, partial(check_image_header, max_pixels=10_000)):
        with pytest.raises(UnsupportedEncodingError, match=r"TIFF .* PNG or JPEG") as raised:
            refuse(make())
        assert "again" not in str(raised.value)


def bmp(depth: int, compression: int = 0, masks: tuple[int, ...] = (), header: int = 40) -> bytes:
    head = struct.pack("<IiiHHIIiiII", header, 8, 4, 1, depth, compression, 0, 0, 0, 0, 0)
    fields = struct.pack(f"<{len(masks)}I", *masks) + bytes(max(0, header - 40))
    at = 14 + len(head) + len(fields)
    return b"BM" + struct.pack("<IHHI", at + 256, 0, 0, at) + head + fields + bytes([9] * 256)


def jpeg_of(marker: int, depth: int) -> bytes:
    data = bytearray(saved(picture(), "JPEG"))
    frame = data.index(b"\xff\xc0")
    data[frame + 1], data[frame + 4] = marker, depth
    return bytes(data)


UNKNOWN: dict[str, Callable[[], bytes]] = {
    "JPEG of 12 bits": partial(jpeg_of, 0xC1, 12),
    "JPEG of 16 bits": partial(jpeg_of, 0xC3, 16),
    "JPEG by the hierarchical process": partial(jpeg_of, 0xC5, 8),
    "JPEG by JPEG-LS": partial(jpeg_of, 0xF7, 8),
    "JPEG inside BMP": partial(bmp, 0, 4),
    "PNG inside BMP": partial(bmp, 0, 5),
    "BMP of 2 bits": partial(bmp, 2),
    "BMP of 64 bits": partial(bmp, 64),
    "BMP of unusual bit fields": partial(bmp, 32, 3, (0xFF, 0xFF00, 0xFF0000)),
    "BMP compressed by a method of OS/2": partial(bmp, 24, 4, header=64),
    "TIFF compressed by WebP": partial(rgb, compression=50001),
    "TIFF compressed by LERC": partial(rgb, compression=34887),
    "TIFF compressed by JPEG 2000": partial(rgb, compression=34712),
    "TIFF compressed by JPEG XL": partial(rgb, compression=50002),
    "TIFF compressed by method 65000": partial(rgb, compression=65_000),
    "TIFF of signed samples": partial(rgb, sample_format=2),
    "TIFF of floating-point samples": partial(rgb, 16, sample_format=3),
    "TIFF of complex samples": partial(rgb, sample_format=5),
    "TIFF of 32 bits": partial(gray, 32),
    "TIFF of 4 bits": partial(rgb, 4),
    "TIFF of 12 bits": partial(rgb, 12),
    "TIFF of 10 bits": partial(gray, 10),
    "TIFF of ICC Lab colours": lambda: tiff(bytes(1536), SIZE, samples=3, photometric=9),
    "TIFF of raw colours of a sensor": lambda: tiff(bytes(512), SIZE, photometric=32803),
    "TIFF of 5 samples": lambda: tiff(bytes(2560), SIZE, samples=5, photometric=2),
    "This coding of TIFF": partial(gray, 12, is_white_0=True),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_no_decoder_knows_is_named(name: str) -> None:
    with pytest.raises(UnsupportedEncodingError, match=f"{name}.*to PNG or JPEG") as raised:
        in_sandbox(UNKNOWN[name]())
    assert "again" not in str(raised.value)


@pytest.mark.parametrize("name", [name for name in UNKNOWN if not name.startswith("This")])
def test_it_is_refused_by_its_header(name: str) -> None:
    with pytest.raises(UnsupportedEncodingError, match=name):
        check_image_header(UNKNOWN[name](), max_pixels=10_000, has_second_decoder=True)


@pytest.mark.parametrize(
    ("depth", "masks"),
    [(16, (0xF800, 0x7E0, 0x1F)), (16, (0x7C00, 0x3E0, 0x1F)), (32, (0xFF0000, 0xFF00, 0xFF))],
)
def test_usual_bit_fields_are_decoded(depth: int, masks: tuple[int, ...]) -> None:
    assert in_process(bmp(depth, 3, masks)).any()


@pytest.mark.parametrize("is_big", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("bits", [8, 16])
def test_big_tiff_is_tiff(is_big: bool, order: str, bits: int) -> None:
    samples = RGB.astype(f"{order}u2") * 257 if bits == 16 else RGB.astype(np.uint8)
    data = tiff(
        samples.tobytes(), SIZE, bits=bits, samples=3, photometric=2, order=order, is_big=is_big
    )
    check_image_header(data, max_pixels=512)
    assert np.array_equal(shown(data, in_process), RGB)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_a_palette_of_few_colours_is_decoded(bits: int) -> None:
    colours = 1 << bits
    table = [(index * 257 * 255) // (colours - 1) // 257 * 257 for index in range(colours)]
    fields = {320: (*table, *table[::-1], *(90 * 257 for _ in table))}
    indices = (np.arange(SIZE[0]) % colours)[None].repeat(SIZE[1], 0)
    data = tiff(packed(indices, bits), SIZE, bits=bits, photometric=3, fields=fields)
    expected = np.array([(r // 257, g // 257, 90) for r, g in zip(table, table[::-1], strict=True)])
    assert np.array_equal(shown(data, in_sandbox), expected[indices])


def test_lab_becomes_srgb() -> None:
    lab = np.zeros((*SIZE[::-1], 3), np.uint8)
    lab[...] = (136, 0, 0)  # L* = 53.4: gray 128 of sRGB
    data = tiff(lab.tobytes(), SIZE, samples=3, photometric=8)
    assert np.abs(shown(data, in_sandbox).astype(int) - 127).max() <= 2
    with pytest.raises(UnsupportedEncodingError, match="CIE Lab"):
        in_process(data)


@pytest.mark.parametrize("compression", ["zstd", "lzma"])
def test_damage_is_told_by_the_second_decoder_too(compression: str) -> None:
    data = by_pillow(compression)
    with pytest.raises(CorruptMediaError):
        in_sandbox(data[:20] + bytes(40) + data[60:])


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"])
@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "CMYK", "P", "1"])
def test_the_decoders_agree_where_both_know_a_coding(compression: str, mode: str) -> None:
    """So it makes no difference to a model which of them made a frame."""
    image = Image.fromarray(RGB.astype(np.uint8)).convert(mode)
    data = saved(image, "TIFF", compression=compression)
    whole = preprocess_image(data, SPEC, max_pixels=10_000).astype(int)
    second = preprocess_pixels(decode_by_pillow(data, ImageFormat.TIFF)[0], SPEC).astype(int)
    assert np.abs(whole - second).max() <= (2 if mode == "CMYK" else 0)


def test_a_damaged_header_is_left_to_the_decoder() -> None:
    for data in (jpeg_of(0xC1, 12)[:20], bmp(24)[:20], gray(2)[:60]):
        check_image_header(data, max_pixels=10_000)
    with pytest.raises(CorruptMediaError):
        in_sandbox(bmp(32, 3)[:54])
