"""Checksums in a TIFF: of strips and tiles, by both codes of Deflate, and no more than pixels."""

import zlib

import pytest

from tests.vision.tiffs import tiff
from visionops_assets.errors import CorruptMediaError
from visionops_assets.vision import checksums
from visionops_assets.vision.checksums import check_checksums

DATA = bytes(range(256)) * 2


def parts(*, damaged: int | None = None) -> list[bytes]:
    """Return two parts of a picture of 32 x 32; the checksum of one may be wrong."""
    made = [bytearray(zlib.compress(DATA)) for _ in range(2)]
    if damaged is not None:
        made[damaged][-1] ^= 1
    return [bytes(each) for each in made]


@pytest.mark.parametrize("compression", [8, 32946])
@pytest.mark.parametrize("is_tiled", [False, True])
@pytest.mark.parametrize("damaged", [None, 0, 1])
def test_each_part_has_its_checksum(compression: int, is_tiled: bool, damaged: int | None) -> None:
    data = tiff(parts(damaged=damaged), (32, 32), compression=compression, is_tiled=is_tiled)
    if damaged is None:
        check_checksums(data)
        return
    with pytest.raises(CorruptMediaError, match="damaged inside"):
        check_checksums(data)


@pytest.mark.parametrize("compression", [1, 5, 7, 32773])
def test_other_compressions_have_none(compression: int) -> None:
    check_checksums(tiff(parts(damaged=0), (32, 32), compression=compression))
    check_checksums(b"\x89PNG\r\n\x1a\n" + parts(damaged=0)[0])


def test_no_more_is_inflated_than_its_pixels_can_have(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight bytes each, for four samples of 16 bits: a bomb behind them is not looked at."""
    inflated = 0
    make = zlib.decompressobj

    class Counting:
        def __init__(self) -> None:
            self.inner = make()

        def decompress(self, data: bytes, most: int) -> bytes:
            nonlocal inflated
            found = self.inner.decompress(data, most)
            inflated += len(found)
            return found

        @property
        def unconsumed_tail(self) -> bytes:
            return self.inner.unconsumed_tail

    monkeypatch.setattr(checksums.zlib, "decompressobj", Counting)  # type: ignore[attr-defined]
    bomb = zlib.compress(bytes(10_000_000))
    check_checksums(tiff([bomb, bomb], (32, 32), compression=8))
    assert inflated == 32 * 32 * 8
