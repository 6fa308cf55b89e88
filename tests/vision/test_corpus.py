"""Each file of the corpus: what the first look says of it, and what the decoder says."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.vision.corpus import CASES
from visionops_assets.contracts import MediaKind, PreprocessingSpec
from visionops_assets.errors import CorruptMediaError, MediaError
from visionops_assets.vision.inspection import check_image_header
from visionops_assets.vision.preprocessing import preprocess_image
from visionops_assets.vision.probing import probe_video
from visionops_assets.vision.sandbox.decoder import DecoderSandbox
from visionops_assets.vision.sniffing import SNIFF_BYTES, sniff

MAX_PIXELS = 50_000_000
MAX_DURATION_S = 18_000.0
SPEC = PreprocessingSpec(size_px=16)


def first_look(data: bytes) -> MediaKind:
    """Do what ingest does before it answers."""
    kind, _ = sniff(data[:SNIFF_BYTES])
    if kind is MediaKind.IMAGE:
        check_image_header(data, max_pixels=MAX_PIXELS, has_second_decoder=True)
    else:
        probe_video(
            lambda offset, count: data[offset : offset + count],
            len(data),
            max_pixels=MAX_PIXELS,
            max_duration_s=MAX_DURATION_S,
        )
    return kind


def decode(sandbox: DecoderSandbox, folder: Path, name: str) -> int:
    """Do what the frames stage does; return the number of frames."""
    path = folder / "media"
    path.write_bytes(CASES[name].make())
    return len(sandbox.decode(path, CASES[name].kind or MediaKind.IMAGE, SPEC))


@pytest.fixture(scope="module")
def sandbox() -> Iterator[DecoderSandbox]:
    with DecoderSandbox(
        timeout_s=20,
        memory_bytes=2 * 1024**3,
        max_pixels=MAX_PIXELS,
        max_video_duration_s=MAX_DURATION_S,
    ) as opened:
        yield opened


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.code is None])
def test_odd_files_become_frames(sandbox: DecoderSandbox, tmp_path: Path, name: str) -> None:
    assert first_look(CASES[name].make()) is CASES[name].kind
    assert decode(sandbox, tmp_path, name) > 0


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.code is not None])
def test_bad_files_have_their_code(sandbox: DecoderSandbox, tmp_path: Path, name: str) -> None:
    with pytest.raises(MediaError) as raised:
        decode(sandbox, tmp_path, name)
    assert raised.value.code == CASES[name].code
    if CASES[name].code == CorruptMediaError.code:
        with suppress(CorruptMediaError):  # what is damaged may pass the first look
            first_look(CASES[name].make())
    else:
        with pytest.raises(type(raised.value)):
            first_look(CASES[name].make())


@pytest.mark.parametrize("name", [n for n, case in CASES.items() if case.kind == "image"])
def test_predictions_have_their_own_codes(name: str) -> None:
    case = CASES[name]
    try:
        preprocess_image(case.make(), SPEC, max_pixels=MAX_PIXELS)
        code = None
    except MediaError as error:
        code = error.code
    assert code == case.predicted_code


def test_the_corpus_is_always_the_same() -> None:
    for case in CASES.values():
        assert case.make() == case.make()
