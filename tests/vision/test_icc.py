"""Colours are converted to sRGB by an embedded profile, as littlecms does."""

import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms

from tests.vision.corpus import saved
from tests.vision.heif import box, heic
from tests.vision.icc_profiles import (
    ADOBE,
    ADOBE_RGB,
    DISPLAY_P3,
    LAB,
    LINEAR,
    P3,
    PROPHOTO,
    SRGB,
    SRGB_CURVE,
    WHITE,
    gamma,
    gray_profile,
    parametric,
    profile,
    rgb_profile,
    sampled,
)
from tests.vision.test_conversions import with_chunk
from visionops_assets.contracts import PreprocessingSpec
from visionops_assets.vision.headers import ImageFormat
from visionops_assets.vision.icc import (
    MAX_PROFILE_BYTES,
    XYZ_TO_SRGB,
    conversion_of,
    to_srgb,
)
from visionops_assets.vision.preprocessing import Frame, preprocess_image
from visionops_assets.vision.profiles import embedded_profile
from visionops_assets.vision.second_decoder import decode_by_pillow

PARITY_LEVELS = 2
RELATIVE = ImageCms.Intent.RELATIVE_COLORIMETRIC
SPEC = PreprocessingSpec(size_px=16)
ORANGE = (200, 100, 50)
PROFILES = {
    "Adobe RGB": ADOBE,
    "Display P3": P3,
    "ProPhoto": rgb_profile(PROPHOTO, gamma(1.8)),
    "sampled": rgb_profile(ADOBE_RGB, sampled(np.linspace(0, 1, 1024) ** 2)),
    "linear": rgb_profile(DISPLAY_P3, LINEAR),
    "para 0": rgb_profile(DISPLAY_P3, parametric(0, 1.9)),
    "para 1": rgb_profile(DISPLAY_P3, parametric(1, 2.2, 0.9, 0.1)),
    "para 2": rgb_profile(DISPLAY_P3, parametric(2, 2.2, 0.9, 0.05, 0.05)),
    "para 4": rgb_profile(DISPLAY_P3, parametric(4, 2.4, 0.9, 0.05, 0.08, 0.04, 0.02, 0.0)),
}


def colours() -> Frame:
    """Return colours of all kinds, the dark ones too: 64 x 64."""
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    pixels[:8] //= 8
    pixels[8:12] = np.linspace(0, 255, 64).astype(np.uint8)[None, :, None]
    return pixels


def by_littlecms(pixels: Frame, embedded: bytes) -> Frame:
    image = ImageCms.profileToProfile(
        Image.fromarray(pixels),
        ImageCms.ImageCmsProfile(io.BytesIO(embedded)),
        ImageCms.createProfile("sRGB"),
        renderingIntent=RELATIVE,
        outputMode="RGB",
    )
    return np.asarray(image, np.uint8)


@pytest.mark.parametrize("name", PROFILES)
def test_the_colours_are_those_of_littlecms(name: str) -> None:
    expected = by_littlecms(colours(), PROFILES[name]).astype(int)
    assert np.abs(expected - colours()).max() > 20, "else it shows nothing"
    assert np.abs(to_srgb(colours(), PROFILES[name]) - expected).max() <= PARITY_LEVELS


@pytest.mark.parametrize("curve", [gamma(2.2), gamma(1.8), sampled(np.linspace(0, 1, 256) ** 1.75)])
def test_gray_is_that_of_littlecms(curve: bytes) -> None:
    levels = np.arange(256, dtype=np.uint8)[None]
    expected = by_littlecms(levels, gray_profile(curve)).astype(int)
    converted = to_srgb(np.dstack([levels] * 3), gray_profile(curve))
    assert np.abs(converted - expected).max() <= PARITY_LEVELS


def test_linear_gray_is_exact() -> None:
    """Where littlecms, which has few steps for gray, is wrong by up to 10 levels."""
    light = np.arange(256) / 255
    curve = 1.055 * light ** (1 / 2.4) - 0.055
    expected = np.rint(255 * np.where(light <= 0.0031308, 12.92 * light, curve))
    levels = np.dstack([np.arange(256, dtype=np.uint8)[None]] * 3)
    assert np.abs(to_srgb(levels, gray_profile(LINEAR))[0, :, 0] - expected).max() <= 1


def test_srgb_stays_as_it_is() -> None:
    for same in (SRGB, rgb_profile(((0.43607, 0.2225, 0.01393), (0.38507, 0.71688, 0.0971),
                                    (0.14308, 0.06062, 0.71417)), SRGB_CURVE)):  # fmt: skip
        assert conversion_of(same) is None
        assert np.array_equal(to_srgb(colours(), same), colours())


TAGS = {b"wtpt": WHITE, b"A2B0": b"mft2" + bytes(100)}
RGB_TAGS = {c + b"XYZ": b"XYZ " + bytes(16) for c in (b"r", b"g", b"b")}


def tagged(at: int) -> bytes:
    """Return a profile of gray whose curve is the tag of this number, from 1."""
    others = {b"%04d" % number: WHITE for number in range(at - 1)}
    return profile(b"GRAY", others | {b"kTRC": gamma(2.2)})


UNUSABLE = {
    "more tags than a hundred": tagged(101),
    "nothing": b"",
    "zeros": bytes(128),
    "a header alone": ADOBE[:130],
    "a profile that was cut off": ADOBE[:200],
    "L*a*b*": LAB,
    "lookup tables": profile(b"RGB ", TAGS),
    "lookup tables to L*a*b*": profile(b"RGB ", TAGS, pcs=b"Lab "),
    "inks": profile(b"CMYK", TAGS, pcs=b"Lab "),
    "gray to L*a*b*": profile(b"GRAY", {b"kTRC": gamma(2.2)}, pcs=b"Lab "),
    "an unknown curve": gray_profile(parametric(9, 1.0)),
    "a curve without slope": gray_profile(parametric(1, 2.2, 0.0, 0.5)),
    "a curve of another type": gray_profile(b"mft1" + bytes(20)),
    "a curve of billions": gray_profile(b"curv" + bytes(4) + struct.pack(">I", 1 << 31)),
    "a profile too large": rgb_profile(ADOBE_RGB, gamma(2.2)) + bytes(MAX_PROFILE_BYTES),
    "junk": profile(b"RGB ", RGB_TAGS | {c + b"TRC": b"junk" * 4 for c in (b"r", b"g", b"b")}),
}


@pytest.mark.parametrize("embedded", UNUSABLE.values(), ids=list(UNUSABLE))
def test_what_cannot_be_converted_is_ignored(embedded: bytes) -> None:
    assert np.array_equal(to_srgb(colours(), embedded), colours())


def test_a_profile_of_many_tags_and_bytes_is_read() -> None:
    levels = np.dstack([np.arange(256, dtype=np.uint8)[None]] * 3)
    expected = to_srgb(levels, gray_profile(gamma(1.0)))
    assert not np.array_equal(expected, levels)
    full = gray_profile(gamma(1.0))
    padded = full + bytes(MAX_PROFILE_BYTES - len(full))
    assert np.array_equal(to_srgb(levels, padded), expected)
    assert conversion_of(padded + b"\0") is None
    assert conversion_of(tagged(100)) is not None


@pytest.mark.parametrize(
    ("kind", "values", "light_of"),
    [
        (0, (2.0,), lambda x: x**2),
        (1, (2.0, 0.5, 0.25), lambda x: (0.5 * x + 0.25) ** 2),
        (1, (2.0, 2.0, -0.5), lambda x: np.where(x >= 0.25, np.maximum(2 * x - 0.5, 0) ** 2, 0)),
        (2, (2.0, 2.0, -0.5, 0.125),
         lambda x: np.where(x >= 0.25, np.maximum(2 * x - 0.5, 0) ** 2, 0) + 0.125),
        (3, (2.0, 1.0, 0.0, 0.5, 0.4), lambda x: np.where(x >= 0.4, x**2, 0.5 * x)),
        (4, (2.0, 0.8, 0.1, 0.5, 0.4, 0.1, 0.05),
         lambda x: np.where(x >= 0.4, (0.8 * x + 0.1) ** 2 + 0.1, 0.5 * x + 0.05)),
    ],
)  # fmt: skip
def test_each_parametric_curve_is_its_formula(
    kind: int, values: tuple[float, ...], light_of: Callable[[Any], Any]
) -> None:
    """By ICC.1:2022, table 68; littlecms agrees with some of them by chance alone."""
    conversion = conversion_of(gray_profile(parametric(kind, *values)))
    assert conversion is not None
    expected = np.clip(light_of(np.arange(256) / 255), 0, 1)
    assert conversion.light[:, 0] == pytest.approx(expected, abs=2e-4)


def test_a_profile_that_moves_a_level_by_one_is_srgb() -> None:
    """Rounding does so much: two levels are a difference."""
    for exponent, is_same in ((1.0, True), (1.02, True), (1.2, False)):
        light = np.arange(1024) / 1023
        curve = np.where(light <= 0.04045, light / 12.92, ((light + 0.055) / 1.055) ** 2.4)
        primaries = ((0.43607, 0.2225, 0.01393), (0.38507, 0.71688, 0.0971),
                     (0.14308, 0.06062, 0.71417))  # fmt: skip
        moved = rgb_profile(primaries, sampled(curve ** (1 + (exponent - 1) / 10)))
        assert (conversion_of(moved) is None) == is_same


def test_the_colours_of_srgb_are_those_of_the_standard() -> None:
    """IEC 61966-2-1, adapted to D50 as littlecms does: light of one colour is that colour."""
    primaries = {0: (0.43607, 0.2225, 0.01393), 1: (0.38507, 0.71688, 0.0971),
                 2: (0.14308, 0.06062, 0.71417)}  # fmt: skip
    light = XYZ_TO_SRGB @ np.array(list(primaries.values())).T
    assert light == pytest.approx(np.eye(3), abs=1e-4)


def test_a_gray_profile_is_for_gray_pixels() -> None:
    assert np.array_equal(to_srgb(colours(), gray_profile(gamma(1.0))), colours())


@given(st.binary(max_size=200), st.integers(0, 400))
def test_a_damaged_profile_breaks_nothing(noise: bytes, at: int) -> None:
    pixels = np.full((2, 2, 3), 77, np.uint8)
    for whole in (ADOBE, gray_profile(gamma(2.2)), rgb_profile(ADOBE_RGB, SRGB_CURVE)):
        assert to_srgb(pixels, whole[:at] + noise + whole[at + len(noise) :]).shape == pixels.shape


def png(embedded: bytes) -> bytes:
    plain = saved(Image.new("RGB", (16, 16), ORANGE), "PNG")
    return with_chunk(plain, b"iCCP", b"name\0\0" + zlib.compress(embedded))


def in_parts(embedded: bytes, *, order: tuple[int, ...] = (2, 1, 3)) -> bytes:
    """Return a JPEG with its profile in three parts."""
    data = saved(Image.new("RGB", (16, 16), ORANGE), "JPEG", quality=100, subsampling=0)
    third = len(embedded) // 3
    ends = {1: (0, third), 2: (third, 2 * third), 3: (2 * third, len(embedded))}
    segments = b""
    for number in order:
        body = b"ICC_PROFILE\0" + bytes([number, 3]) + embedded[slice(*ends[number])]
        segments += b"\xff\xe2" + struct.pack(">H", len(body) + 2) + body
    return data[:2] + segments + data[2:]


def by_pillow(name: str, **options: object) -> Callable[[bytes], bytes]:
    image = Image.new("RGB", (16, 16), ORANGE)
    return lambda embedded: saved(image, name, icc_profile=embedded, **options)


FILES: dict[str, Callable[[bytes], bytes]] = {
    "JPEG": by_pillow("JPEG", quality=100, subsampling=0),
    "JPEG in parts": in_parts,
    "PNG": png,
    "WebP": by_pillow("WEBP", lossless=True),
    "TIFF": by_pillow("TIFF"),
    "TIFF by Pillow": by_pillow("TIFF", compression="zstd"),
    "AVIF": by_pillow("AVIF", quality=100, subsampling="4:4:4"),
    "HEIC": lambda embedded: heic(
        np.full((16, 16, 3), ORANGE, np.uint8), (box(b"colr", b"prof", embedded),)
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_a_profile_is_found_in_every_format(name: str) -> None:
    data = FILES[name](ADOBE)
    expected = by_littlecms(np.full((16, 16, 3), ORANGE, np.uint8), ADOBE).astype(int)
    frame = preprocess_image(data, SPEC, max_pixels=256, second_decoder=decode_by_pillow)
    assert np.abs(frame - expected).max() <= 6
    ignoring = PreprocessingSpec(size_px=16, colour_profile="ignored")
    frame = preprocess_image(data, ignoring, max_pixels=256, second_decoder=decode_by_pillow)
    assert np.abs(frame.astype(int) - ORANGE).max() <= 4


@pytest.mark.parametrize("order", [(1, 2), (2, 3), (1, 3)])
def test_a_profile_with_a_part_missing_is_ignored(order: tuple[int, ...]) -> None:
    assert embedded_profile(in_parts(ADOBE, order=order), ImageFormat.JPEG) is None
    assert embedded_profile(in_parts(ADOBE), ImageFormat.JPEG) == ADOBE


def test_a_profile_of_inks_is_ignored() -> None:
    image = Image.new("CMYK", (16, 16), (10, 20, 30, 40))
    plain = saved(image, "JPEG", quality=100)
    inked = saved(image, "JPEG", quality=100, icc_profile=profile(b"CMYK", TAGS, pcs=b"Lab "))
    assert np.array_equal(
        preprocess_image(plain, SPEC, max_pixels=256), preprocess_image(inked, SPEC, max_pixels=256)
    )


@pytest.mark.parametrize("found", [ImageFormat.JPEG, ImageFormat.PNG, ImageFormat.TIFF])
def test_a_header_that_ends_early_has_no_profile(found: ImageFormat) -> None:
    for data in (b"", b"\xff\xd8\xff\xe2\0\x20ICC_PROFILE\0\1", b"II*\0\x08\0\0\0\5\0"):
        assert embedded_profile(data, found) is None
