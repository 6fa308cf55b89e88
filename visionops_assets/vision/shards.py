"""Packs frames into one object: a plain tar in which each member has a known offset.

One object per frame would cost one request per frame; a range request reads one frame of a shard.
"""

import hashlib
import io
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class ShardEntry:
    """The place of one member in the shard; `offset` and `length` in bytes."""

    name: str
    offset: int
    length: int


def pack(frames: Iterable[tuple[str, bytes]]) -> tuple[bytes, list[ShardEntry]]:
    """Pack (name, bytes) pairs, in their order, into a tar without times or owners.

    Equal frames give equal bytes, so a shard that is written twice is the same object.

    Raises:
        ValueError: two frames have the same name.
    """
    shard = io.BytesIO()
    entries: dict[str, ShardEntry] = {}
    with tarfile.open(fileobj=shard, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, data in frames:
            if name in entries:
                raise ValueError(f"Two frames are named {name!r}.")
            member = tarfile.TarInfo(name)
            member.size = len(data)
            header_bytes = len(member.tobuf(tarfile.PAX_FORMAT))
            entries[name] = ShardEntry(name, shard.tell() + header_bytes, len(data))
            tar.addfile(member, io.BytesIO(data))
    return shard.getvalue(), list(entries.values())


def digest_of(content: bytes) -> str:
    """Return the first 64 bits of the SHA-256 of a shard, or of a frame, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()[:16]


def unpack(shard: bytes) -> dict[str, bytes]:
    """Read all frames of a shard, by name.

    Raises:
        tarfile.TarError: the shard is not a whole tar file.
    """
    with tarfile.open(fileobj=io.BytesIO(shard), mode="r:") as tar:
        return {member.name: _read(tar, member) for member in tar}


def _read(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    content = tar.extractfile(member)
    if content is None:
        raise tarfile.ReadError(f"{member.name} is not a file.")
    return content.read()
