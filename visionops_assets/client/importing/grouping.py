"""Groups the files of an import, so that small ones share a request."""

from collections.abc import Iterable, Iterator

from visionops_assets.client.importing.listing import Item

MAX_FILES = 32
MAX_BYTES = 1_000_000
"""With what is said of the files, that is less than the 1 MiB that many proxies let pass."""


def grouped(items: Iterable[Item]) -> Iterator[list[Item]]:
    """Yield the files in their order, in groups of `MAX_FILES` and `MAX_BYTES` at most.

    A larger file is a group of its own.
    """
    group: list[Item] = []
    group_bytes = 0
    for item in items:
        if group and (len(group) == MAX_FILES or group_bytes + item.size_bytes > MAX_BYTES):
            yield group
            group, group_bytes = [], 0
        group.append(item)
        group_bytes += item.size_bytes
    if group:
        yield group
