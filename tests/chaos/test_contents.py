import pytest

from tests.chaos.contents import REPEATS_WITHIN, Kind, Upload, draw_upload
from visionops_assets.contracts import PreprocessingSpec
from visionops_assets.errors import CorruptMediaError, UnsupportedMediaError
from visionops_assets.vision.inspection import check_image_header
from visionops_assets.vision.preprocessing import preprocess_image
from visionops_assets.vision.sniffing import sniff

SPEC = PreprocessingSpec(size_px=16)
MAX_PIXELS = 10_000


@pytest.fixture(scope="module")
def uploads() -> list[Upload]:
    return [draw_upload(seed=3, number=number) for number in range(400)]


def test_a_seed_fixes_the_uploads(uploads: list[Upload]) -> None:
    assert draw_upload(3, 17) == uploads[17]
    assert draw_upload(4, 17).data != uploads[17].data


def test_every_kind_occurs(uploads: list[Upload]) -> None:
    assert {upload.kind for upload in uploads} == set(Kind)


def test_only_repeated_uploads_have_the_bytes_of_others(uploads: list[Upload]) -> None:
    alone = [u for u in uploads if u.kind is not Kind.REPEATED]
    assert len({u.sha256 for u in alone}) == len(alone)


def test_a_repeated_upload_is_of_the_same_source_as_the_one_it_repeats(
    uploads: list[Upload],
) -> None:
    repeats = [u for u in uploads if u.kind is Kind.REPEATED and u.number > REPEATS_WITHIN]
    source_by_sha256 = {u.sha256: u.source for u in uploads if u.kind is not Kind.REPEATED}
    known = [u for u in repeats if u.sha256 in source_by_sha256]
    assert len(known) > len(repeats) / 2
    assert all(source_by_sha256[u.sha256] == u.source for u in known)


def test_corrupt_uploads_are_taken_and_do_not_decode(uploads: list[Upload]) -> None:
    for upload in (u for u in uploads if u.kind is Kind.CORRUPT):
        sniff(upload.data)
        check_image_header(upload.data, max_pixels=MAX_PIXELS)
        with pytest.raises(CorruptMediaError):
            preprocess_image(upload.data, SPEC, max_pixels=MAX_PIXELS)


def test_refused_uploads_are_no_pictures(uploads: list[Upload]) -> None:
    for upload in (u for u in uploads if u.kind is Kind.REFUSED):
        with pytest.raises(UnsupportedMediaError):
            sniff(upload.data)
