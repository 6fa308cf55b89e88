"""Each file of the corpus: what the first look says of it, and what the decoder says."""

from pathlib import Path

import pytest

from tests.vision.corpus import CASES
from visionops_assets.contracts import MediaKind, PreprocessingSpec
from visionops_assets.errors import MediaError
from visionops_assets.vision.decoding import decode_media
from visionops_assets.vision.inspection import check_image_header
from visionops_assets.vision.probing import probe_video
from visionops_assets.vision.sniffing import SNIFF_BYTES, sniff

MAX_PIXELS = 50_000_000
MAX_DURATION_S = 18_000.0
SPEC = PreprocessingSpec(size_px=16)


def first_look(data: bytes) -> MediaKind:
    """Do what ingest does before it answers."""
    kind, _ = sniff(data[:SNIFF_BYTES])
    if kind is MediaKind.IMAGE:
        check_image_header(data, max_pixels=MAX_PIXELS)
    else:
        probe_video(
            lambda offset, count: data[offset : offset + count],
            len(data),
            max_pixels=MAX_PIXELS,
            max_duration_s=MAX_DURATION_S,
        )
    return kind


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.code is None])
def test_odd_files_become_frames(tmp_path: Path, name: str) -> None:
    data = CASES[name].make()
    assert first_look(data) is CASES[name].kind
    path = tmp_path / name
    path.write_bytes(data)
    frames = decode_media(
        path,
        CASES[name].kind or MediaKind.IMAGE,
        SPEC,
        max_pixels=MAX_PIXELS,
        max_video_duration_s=MAX_DURATION_S,
    )
    assert list(frames)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.code is not None])
def test_bad_files_have_their_code(tmp_path: Path, name: str) -> None:
    case = CASES[name]
    data = case.make()
    code = None
    try:
        first_look(data)
    except MediaError as error:
        code = error.code
    # What is damaged may pass the first look.
    assert code == case.code or (case.code == "corrupt" and code is None)
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(MediaError) as raised:
        list(
            decode_media(
                path,
                case.kind or MediaKind.IMAGE,
                SPEC,
                max_pixels=MAX_PIXELS,
                max_video_duration_s=MAX_DURATION_S,
            )
        )
    assert raised.value.code == case.code


def test_the_corpus_is_always_the_same() -> None:
    for case in CASES.values():
        assert case.make() == case.make()
