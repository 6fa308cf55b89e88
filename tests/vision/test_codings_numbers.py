"""Each number of a coding, as the formats' registries list them, has its verdict and its name.

Sources: TIFF 6.0, libtiff's tiff.h and DNG 1.7; ITU-T T.81, table B.1; BITMAPINFOHEADER.
"""

import struct
from typing import Any

import pytest

from tests.vision.tiffs import tiff
from visionops_assets.vision.codings import Coding, foreign_coding
from visionops_assets.vision.headers import ImageFormat

TOLD = {
    33003: "JPEG 2000", 33004: "JPEG 2000", 33005: "JPEG 2000", 34712: "JPEG 2000",
    34676: "SGI Log", 34677: "SGI Log", 50002: "JPEG XL", 52546: "JPEG XL",
    22610: "JPEG XR", 34934: "JPEG XR", 32809: "ThunderScan", 32909: "Pixar Log",
    34661: "JBIG", 34887: "LERC", 34892: "lossy JPEG of DNG", 34933: "PNG", 50001: "WebP",
}  # fmt: skip
BY_THE_SECOND = {6: "old-style JPEG", 34925: "LZMA", 50000: "ZSTD"}
DECODED = {1, 2, 3, 4, 5, 7, 8, 32773, 32946}
COLOURS = {
    4: "a mask", 9: "ICC Lab colours", 10: "ITU Lab colours",
    32803: "raw colours of a sensor", 32844: "LogL brightness", 32845: "LogLuv colours",
    34892: "linear raw colours",
}  # fmt: skip


def of_tiff(**fields: Any) -> Coding | None:
    return foreign_coding(tiff(bytes(64), (4, 4), **fields), ImageFormat.TIFF)


def around(numbers: set[int]) -> list[int]:
    near = {number + step for number in numbers for step in (-1, 0, 1)}
    return sorted(number for number in near if 0 < number < 1 << 16)


@pytest.mark.parametrize("number", around(DECODED | TOLD.keys() | BY_THE_SECOND.keys()))
def test_each_compression_of_tiff_is_decoded_or_named(number: int) -> None:
    found = of_tiff(compression=number)
    if number in DECODED:
        assert found is None
        return
    name = BY_THE_SECOND.get(number) or TOLD.get(number, f"method {number}")
    assert found == (f"TIFF compressed by {name}", number in BY_THE_SECOND)


@pytest.mark.parametrize("number", around({*range(1, 11), *COLOURS}))
def test_each_kind_of_colours_of_tiff_is_decoded_or_named(number: int) -> None:
    found = of_tiff(photometric=number)
    if number in {1, 2, 3, 5, 6}:
        assert found is None
    elif number == 8:
        assert found == ("TIFF of CIE Lab colours", True)
    else:
        assert found == (f"TIFF of {COLOURS.get(number, f'colours of kind {number}')}", False)


GRAY, RGB, PALETTE, CMYK, YCBCR, LAB = 1, 2, 3, 5, 6, 8


@pytest.mark.parametrize(
    ("photometric", "decoded", "by_the_second"),
    [
        (0, {1, 8, 16}, {2, 4, 12}),
        (GRAY, {1, 8, 16}, {2, 4, 12}),
        (RGB, {8, 16}, set()),
        (PALETTE, {1, 4, 8}, {2}),
        (CMYK, {8}, {16}),
        (YCBCR, {8}, set()),
    ],
)
def test_each_depth_is_decoded_or_said(
    photometric: int, decoded: set[int], by_the_second: set[int]
) -> None:
    """Where neither decoder knows a depth, its number is what a user has to look for."""
    for bits in range(1, 40):
        found = of_tiff(photometric=photometric, bits=bits)
        told = (f"TIFF of {bits} bits per sample", bits in by_the_second)
        assert found == (None if bits in decoded else told)
    assert of_tiff(photometric=LAB, bits=8) == ("TIFF of CIE Lab colours", True)
    assert of_tiff(photometric=LAB, bits=16) == ("TIFF of CIE Lab colours", False)


@pytest.mark.parametrize(
    ("number", "name"),
    [
        (1, None), (2, "signed samples"), (3, "floating-point samples"), (4, None),
        (5, "complex samples"), (6, "complex samples"),
    ],
)  # fmt: skip
def test_each_format_of_samples_is_decoded_or_named(number: int, name: str | None) -> None:
    found = of_tiff(sample_format=number)
    assert found == (None if name is None else (f"TIFF of {name}", False))


def test_many_samples_and_mixed_depths_are_named() -> None:
    for samples in range(1, 7):
        found = of_tiff(photometric=RGB, samples=samples)
        assert found == (None if samples <= 4 else (f"TIFF of {samples} samples per pixel", False))
    mixed = tiff(bytes(64), (4, 4), samples=3, photometric=RGB, fields={258: (5, 6, 5)})
    name = "TIFF of samples of several depths"
    assert foreign_coding(mixed, ImageFormat.TIFF) == (name, False)


@pytest.mark.parametrize("photometric", [GRAY, RGB, CMYK])
@pytest.mark.parametrize("extra", [0, 1, 2])
def test_only_colours_multiplied_by_alpha_are_foreign(photometric: int, extra: int) -> None:
    data = tiff(bytes(64), (4, 4), samples=4, photometric=photometric, fields={338: (extra,)})
    found = foreign_coding(data, ImageFormat.TIFF)
    told = ("TIFF of colours multiplied by alpha", photometric == RGB)
    assert found == (told if extra == 1 else None)


@pytest.mark.parametrize("marker", [*range(0xC0, 0xD0), 0xF7])
def test_each_process_of_jpeg_is_decoded_or_named(marker: int) -> None:
    frame = struct.pack(">HBHHB", 11, 8, 4, 4, 1) + b"\1\x11\0"
    data = b"\xff\xd8\xff" + bytes([marker]) + frame + b"\xff\xda"
    names = dict.fromkeys((0xC5, 0xC6, 0xC7, 0xCD, 0xCE, 0xCF), "the hierarchical process")
    names |= {0xCB: "the lossless arithmetic process", 0xF7: "JPEG-LS"}
    found = foreign_coding(data, ImageFormat.JPEG)
    assert found == ((f"JPEG by {names[marker]}", False) if marker in names else None)


@pytest.mark.parametrize("depth", [7, 8, 9, 12, 16])
def test_jpeg_has_8_bits(depth: int) -> None:
    data = b"\xff\xd8\xff\xc0" + struct.pack(">HBHHB", 11, depth, 4, 4, 1) + b"\1\x11\0"
    found = foreign_coding(data, ImageFormat.JPEG)
    assert found == (None if depth == 8 else (f"JPEG of {depth} bits", False))


def of_bmp(header: int, depth: int, compression: int = 0, masks: tuple[int, ...] = ()) -> bytes:
    info = struct.pack("<IiiHHI", header, 4, 4, 1, depth, compression) + bytes(20)
    return b"BM" + bytes(12) + info + struct.pack(f"<{len(masks)}I", *masks) + bytes(64)


@pytest.mark.parametrize("header", [12, 16, 40, 64, 108, 124])
@pytest.mark.parametrize("compression", range(7))
def test_each_compression_of_bmp_is_decoded_or_named(header: int, compression: int) -> None:
    masks = (0xFF0000, 0xFF00, 0xFF)
    found = foreign_coding(of_bmp(header, 32, compression, masks), ImageFormat.BMP)
    if header <= 16 or compression <= (2 if header == 64 else 3):
        assert found is None
    elif header == 64:
        assert found == ("BMP compressed by a method of OS/2", False)
    else:
        inside = {4: "JPEG inside BMP", 5: "PNG inside BMP"}
        assert found == (inside.get(compression, f"BMP of kind {compression}"), False)


@pytest.mark.parametrize("depth", range(65))
def test_each_depth_of_bmp_is_decoded_or_said(depth: int) -> None:
    found = foreign_coding(of_bmp(40, depth), ImageFormat.BMP)
    is_decoded = depth in {1, 4, 8, 16, 24, 32}
    assert found == (None if is_decoded else (f"BMP of {depth} bits per pixel", False))


USUAL = [(0xF800, 0x7E0, 0x1F), (0x7C00, 0x3E0, 0x1F), (0xFF0000, 0xFF00, 0xFF)]


@pytest.mark.parametrize("masks", USUAL)
@pytest.mark.parametrize("changed", range(3))
def test_one_unusual_bit_field_is_enough(masks: tuple[int, ...], changed: int) -> None:
    unusual = tuple(mask * 2 if i == changed else mask for i, mask in enumerate(masks))
    assert foreign_coding(of_bmp(40, 16, 3, masks), ImageFormat.BMP) is None
    found = foreign_coding(of_bmp(40, 16, 3, unusual), ImageFormat.BMP)
    assert found == ("BMP of unusual bit fields", False)


@pytest.mark.parametrize("found", ImageFormat)
def test_what_opencv_has_no_decoder_for_goes_to_the_second(found: ImageFormat) -> None:
    if found in {ImageFormat.JPEG, ImageFormat.BMP, ImageFormat.TIFF}:
        return
    name = {ImageFormat.JPEG2000: "JPEG 2000"}.get(found, found.name)
    seldom = {ImageFormat.AVIF, ImageFormat.HEIC, ImageFormat.JPEG2000, ImageFormat.PNM,
              ImageFormat.TGA}  # fmt: skip
    assert foreign_coding(b"", found) == ((name, True) if found in seldom else None)
