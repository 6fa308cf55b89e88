import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from visionops_assets.contracts import ModelCard, PreprocessingSpec
from visionops_assets.errors import (
    CorruptMediaError,
    EmptyMediaError,
    TooManyPixelsError,
    UnsupportedMediaError,
)
from visionops_assets.vision import preprocessing
from visionops_assets.vision.framing import preprocess_pixels
from visionops_assets.vision.images import REDUCED_READS, _reduction
from visionops_assets.vision.preprocessing import (
    Frame,
    decode_frame,
    encode_frame,
    perceptual_hash,
    preprocess_image,
    to_network_input,
)

MAX_PIXELS = 1_000_000
SPEC = PreprocessingSpec(size_px=16)
EXTENSIONS = [".jpg", ".png", ".webp", ".gif", ".bmp", ".tiff"]


def photo(height: int = 120, width: int = 160) -> Frame:
    """Return a smooth picture: red rises to the right, green downwards, blue is constant."""
    frame = np.zeros((height, width, 3), np.uint8)
    frame[..., 0] = np.linspace(0, 255, width)
    frame[..., 1] = np.linspace(0, 255, height)[:, None]
    frame[..., 2] = 40
    return frame


def encode(frame: Frame, extension: str) -> bytes:
    return cv2.imencode(extension, frame[..., ::-1])[1].tobytes()


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_every_format_gives_the_same_picture(extension: str) -> None:
    frame = preprocess_image(encode(photo(), extension), SPEC, max_pixels=MAX_PIXELS)
    assert frame.shape == (16, 16, 3)
    assert frame.dtype == np.uint8
    expected = preprocess_pixels(photo(), SPEC).astype(int)
    assert np.abs(frame.astype(int) - expected).mean() < 8


@pytest.mark.parametrize("extension", EXTENSIONS)
@pytest.mark.parametrize("keep", [0.2, 0.6, 0.95])
def test_truncated_files_are_refused(extension: str, keep: float) -> None:
    data = encode(photo(), extension)
    with pytest.raises(CorruptMediaError):
        preprocess_image(data[: int(len(data) * keep)], SPEC, max_pixels=MAX_PIXELS)


@pytest.mark.parametrize(("extension", "trailer_bytes"), [(".jpg", 8), (".png", 12), (".gif", 1)])
def test_a_missing_trailer_is_refused(extension: str, trailer_bytes: int) -> None:
    with pytest.raises(CorruptMediaError):
        preprocess_image(encode(photo(), extension)[:-trailer_bytes], SPEC, max_pixels=MAX_PIXELS)


def test_a_damaged_png_is_refused() -> None:
    data = bytearray(encode(photo(), ".png"))
    data[len(data) // 2] ^= 0xFF
    with pytest.raises(CorruptMediaError):
        preprocess_image(bytes(data), SPEC, max_pixels=MAX_PIXELS)


def test_a_chunk_that_is_longer_than_its_png_takes_no_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of four bytes of a hostile file OpenCV would make four gigabytes of zeros."""
    data = bytearray(encode(photo(), ".png"))
    start = data.index(b"IDAT") - 4
    data[start : start + 4] = b"\xff\0\0\0"
    monkeypatch.setattr(cv2, "imdecode", None)
    with pytest.raises(CorruptMediaError, match="cut off"):
        preprocess_image(bytes(data), SPEC, max_pixels=MAX_PIXELS)


def test_pixels_are_counted_before_decoding() -> None:
    bomb = bytearray(encode(photo(), ".png"))
    bomb[16:24] = (60_000).to_bytes(4, "big") * 2
    with pytest.raises(TooManyPixelsError, match="60000 x 60000"):
        preprocess_image(bytes(bomb), SPEC, max_pixels=MAX_PIXELS)


def test_empty_and_foreign_bytes_are_told_apart() -> None:
    with pytest.raises(EmptyMediaError):
        preprocess_image(b"", SPEC, max_pixels=MAX_PIXELS)
    with pytest.raises(UnsupportedMediaError):
        preprocess_image(b"hello", SPEC, max_pixels=MAX_PIXELS)


def texture(height: int, width: int) -> Frame:
    """Return a picture of squares of 4 pixels, which fewer pixels cannot show."""
    rows, columns = np.arange(height) // 4, np.arange(width) // 4
    levels = np.where((rows[:, None] + columns) % 2, 220, 30).astype(np.uint8)
    return np.repeat(levels[..., None], 3, axis=2)


def decoded(data: bytes) -> Frame:
    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB), np.uint8)


@pytest.mark.parametrize(("height", "width"), [(127, 127), (127, 300), (300, 127), (64, 64)])
def test_a_jpeg_of_less_than_twice_the_frame_is_decoded_whole(height: int, width: int) -> None:
    """Of fine texture every pixel counts: a reduced decode and an enlargement would blur it."""
    data = encode(texture(height, width), ".jpg")
    spec = PreprocessingSpec(size_px=64)
    whole = preprocess_pixels(decoded(data), spec)
    assert np.array_equal(preprocess_image(data, spec, max_pixels=MAX_PIXELS), whole)


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_a_reduced_jpeg_decode_stays_close_to_the_full_one(factor: int) -> None:
    """Where the frame has as many pixels as the reduced picture, and where it has fewer."""
    size_px = 800 // factor
    data = encode(texture(800, 1000), ".jpg")
    for size in (size_px, size_px // 2 + 3):
        spec = PreprocessingSpec(size_px=size)
        reduced = preprocess_image(data, spec, max_pixels=MAX_PIXELS).astype(int)
        full = preprocess_pixels(decoded(data), spec).astype(int)
        assert np.abs(reduced - full).mean() < 4


@pytest.mark.parametrize(
    ("shorter_side_px", "factor"), [(512, 8), (511, 4), (256, 4), (255, 2), (128, 2), (127, 1)]
)
def test_a_jpeg_is_reduced_as_far_as_the_frame_allows(shorter_side_px: int, factor: int) -> None:
    flag = REDUCED_READS.get(factor, 0)
    assert _reduction(shorter_side_px, 64) == flag
    half = cv2.imdecode(np.frombuffer(encode(photo(80, 80), ".jpg"), np.uint8), flag or 1)
    assert half is not None
    assert len(half) == 80 // factor, "the flag is that of the factor"


@pytest.mark.parametrize(("right", "needed_px"), [(1.0, 16.0), (0.25, 64.0)])
def test_a_region_needs_as_many_more_pixels_as_it_is_smaller(
    monkeypatch: pytest.MonkeyPatch, right: float, needed_px: float
) -> None:
    """Else a reduced decode would leave fewer pixels of it than its frame has."""
    asked: list[float] = []

    def decode(_: bytes, needed: float, **__: object) -> Frame:
        asked.append(needed)
        return photo()

    monkeypatch.setattr(preprocessing, "decode_image", decode)
    region = {"name": "region", "right": right}
    spec = PreprocessingSpec.model_validate({"size_px": 16, "filters": [region]})
    preprocess_image(b"", spec, max_pixels=MAX_PIXELS)
    assert asked == [needed_px]


def test_exif_orientation_is_applied() -> None:
    exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
    segment = b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
    data = encode(photo(), ".jpg")
    turned = preprocess_image(data[:2] + segment + data[2:], SPEC, max_pixels=MAX_PIXELS)
    upright = preprocess_image(data, SPEC, max_pixels=MAX_PIXELS)
    assert np.abs(turned.astype(int) - np.rot90(upright, -1).astype(int)).mean() < 4


def test_stretch_shrinks_one_axis_and_enlarges_the_other() -> None:
    frame = preprocess_pixels(photo(4, 300), SPEC)
    assert frame.shape == (16, 16, 3)
    assert np.all(np.diff(frame[8, :, 0].astype(int)) > 0)
    on_its_side = preprocess_pixels(np.ascontiguousarray(photo(4, 300).transpose(1, 0, 2)), SPEC)
    assert np.array_equal(on_its_side.transpose(1, 0, 2), frame)


@pytest.mark.parametrize(("height", "width"), [(10, 40), (40, 10), (1, 500), (500, 1), (200, 50)])
def test_letterbox_keeps_proportions_on_black(height: int, width: int) -> None:
    white = np.full((height, width, 3), 255, np.uint8)
    spec = PreprocessingSpec(size_px=16, resize="letterbox")
    inside = preprocess_pixels(white, spec)[..., 0] == 255
    rows, columns = inside.any(axis=1).sum(), inside.any(axis=0).sum()
    assert inside.sum() == rows * columns
    assert (rows, columns) == (
        max(1, round(16 * height / max(height, width))),
        max(1, round(16 * width / max(height, width))),
    )


def test_gray_gives_three_equal_channels() -> None:
    frame = preprocess_pixels(photo(), PreprocessingSpec(size_px=16, colour="gray"))
    assert np.array_equal(frame[..., 0], frame[..., 1])
    assert np.array_equal(frame[..., 0], frame[..., 2])
    assert frame.std() > 0


def test_network_input_is_normalised_per_channel() -> None:
    card = ModelCard(
        architecture="resnet-tiny",
        classes=("a", "b"),
        embedding_size=4,
        spec=SPEC,
        mean=(0.1, 0.2, 0.3),
        std=(0.5, 0.25, 0.1),
        snapshot_id="s",
        seed=0,
    )
    frames = np.stack([preprocess_pixels(photo(), SPEC), np.zeros((16, 16, 3), np.uint8)])
    inputs = to_network_input(frames, card)
    expected = (frames / 255 - np.array(card.mean)) / np.array(card.std)
    assert inputs.dtype == np.float32
    assert inputs.flags.c_contiguous
    np.testing.assert_allclose(inputs, expected.transpose(0, 3, 1, 2), atol=1e-5)


def test_the_hash_survives_scaling_and_tells_pictures_apart() -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (128, 128, 3), np.uint8)
    blurred = cv2.GaussianBlur(noise.astype(np.float32), (0, 0), 9)
    picture = np.clip((blurred - blurred.mean()) * 20 + 128, 0, 255).astype(np.uint8)
    smaller = preprocess_pixels(picture, PreprocessingSpec(size_px=64))
    original, scaled = perceptual_hash(picture), perceptual_hash(smaller)
    mirrored = perceptual_hash(np.ascontiguousarray(picture[:, ::-1]))
    assert len(original) == 16
    assert (int(original, 16) ^ int(scaled, 16)).bit_count() <= 3
    assert (int(original, 16) ^ int(mirrored, 16)).bit_count() > 16


@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_blank_frame_hashes_to_zeros(level: int) -> None:
    assert perceptual_hash(np.full((64, 64, 3), level, np.uint8)) == "0" * 16


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_png_is_lossless(height: int, width: int, seed: int) -> None:
    frame = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    assert np.array_equal(decode_frame(encode_frame(frame)), frame)
