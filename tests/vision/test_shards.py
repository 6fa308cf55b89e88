import tarfile

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from visionops_assets.vision.shards import pack, unpack

names = st.from_regex(r"[a-zA-Z0-9_\-/.éß]{1,150}", fullmatch=True).filter(
    lambda name: name.strip("/.") == name
)


@given(st.dictionaries(names, st.binary(max_size=2_000), max_size=8))
@example({"a" * 200 + ".png": b"long names have longer headers"})
def test_round_trip_and_offsets(frames: dict[str, bytes]) -> None:
    shard, entries = pack(frames.items())
    assert unpack(shard) == frames
    assert [entry.name for entry in entries] == list(frames)
    for entry in entries:
        assert shard[entry.offset : entry.offset + entry.length] == frames[entry.name]


def test_equal_frames_give_equal_bytes() -> None:
    frames = [("b.png", b"2"), ("a.png", b"1")]
    assert pack(frames) == pack(iter(frames))


def test_a_name_given_twice_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'a\.png'"):
        pack([("a.png", b"1"), ("a.png", b"2")])


@pytest.mark.parametrize("kept", [0, 100, 700])
def test_a_truncated_shard_does_not_unpack(kept: int) -> None:
    shard, _ = pack([("a.png", bytes(2_000))])
    with pytest.raises(tarfile.TarError):
        unpack(shard[:kept])
