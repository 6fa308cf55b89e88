"""The object store as a dictionary."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from visionops_assets.errors import NotFoundError, ServerUnreachableError


class MemoryStore(dict[str, bytes]):
    """Objects by key; `written` notes the order of writes."""

    def __init__(self, objects: Mapping[str, bytes] | None = None) -> None:
        super().__init__(objects or {})
        self.written: list[str] = []

    def put(self, key: str, data: bytes) -> None:
        self[key] = data
        self.written.append(key)

    def upload(self, key: str, path: Path) -> None:
        self.put(key, path.read_bytes())

    def download(self, key: str, path: Path) -> str:
        path.write_bytes(self.get(key))
        return hashlib.sha256(self.get(key)).hexdigest()

    def get(self, key: str) -> bytes:  # type: ignore[override]
        if key not in self:
            raise NotFoundError(key)
        return self[key]

    def get_ranges(self, key: str, starts: Sequence[int], lengths: Sequence[int]) -> list[bytes]:
        data = self.get(key)
        for start, length in zip(starts, lengths, strict=True):
            if start + length > len(data):
                raise ServerUnreachableError(f"{key} ends before {start + length}.")
        return [data[a : a + n] for a, n in zip(starts, lengths, strict=True)]

    def get_range(self, key: str, start: int, count: int) -> bytes:
        return self.get(key)[start : start + count]

    def exists(self, key: str) -> bool:
        return key in self

    def size_bytes(self, key: str) -> int | None:
        return len(self[key]) if key in self else None

    def delete(self, key: str) -> None:
        self.pop(key, None)

    def copy(self) -> "MemoryStore":
        return MemoryStore(self)

    def list_keys(self, prefix: str) -> list[str]:
        return sorted(key for key in self if key.startswith(prefix))
