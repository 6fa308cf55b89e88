from pathlib import Path

import pytest

from visionops_client.content import CHUNK_BYTES, FileContent, as_content


@pytest.mark.parametrize("start", [0, 1, CHUNK_BYTES, 2 * CHUNK_BYTES + 2, 2 * CHUNK_BYTES + 3])
def test_a_file_is_read_from_any_byte_in_chunks(tmp_path: Path, start: int) -> None:
    data = bytes(range(256)) * (2 * CHUNK_BYTES // 256) + b"end"
    path = tmp_path / "video.mp4"
    path.write_bytes(data)
    content = as_content(path)
    chunks = list(content.chunks(start))
    assert content.size_bytes == len(data)
    assert all(0 < len(chunk) <= CHUNK_BYTES for chunk in chunks)
    assert b"".join(chunks) == data[start:]
    stop = min(start + CHUNK_BYTES + 2, len(data))
    assert b"".join(content.chunks(start, stop)) == data[start:stop]


def test_what_is_added_to_a_file_later_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(b"abc")
    content = FileContent(path)
    path.write_bytes(b"abcdef")
    assert b"".join(content.chunks()) == b"abc"


def test_bytes_are_content(tmp_path: Path) -> None:
    content = as_content(b"abc")
    assert (content.size_bytes, list(content.chunks(1, 2))) == (3, [b"b"])
    assert as_content(content) is content
