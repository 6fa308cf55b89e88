"""Decodes the files of a batch on all cores, while others are fetched and written."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from queue import SimpleQueue
from types import TracebackType
from typing import Self
from uuid import UUID

from visionops_assets.catalog.processing import Processed
from visionops_assets.contracts import MediaKind, PreprocessingSpec
from visionops_assets.errors import DecoderCrashedError
from visionops_assets.settings import Settings, usable_cores
from visionops_assets.stages.frames.fetching import Fetched
from visionops_assets.vision.decoders import decoder_of
from visionops_assets.vision.sandbox.decoder import DecodedFile, DecoderSandbox, EncodedFrame

SMALL_BYTES = 256 * 1024
GROUP_FILES = 16
"""Small images that a decoder gets at once."""
GROUPS_PER_CORE = 2
"""One is decoded, and one waits, so that no core does."""
HELD_BYTES = 256 * 1024**2
"""Files on the disk at a time, beside the largest: a batch may be of videos alone."""
MAX_THREADS = 4
"""Each costs a decoder some 100 MB of address space."""

Result = tuple[Processed, list[EncodedFrame]]


@dataclass(frozen=True)
class Group:
    """Files that one decoder gets at once, all of one kind; `specs` hold for all of them."""

    files: Sequence[Fetched]
    specs: Sequence[PreprocessingSpec]

    @property
    def bytes(self) -> int:
        """Return the size of the files."""
        return sum(each.file.bytes for each in self.files)


def grouped(files: Iterable[Fetched], specs: Sequence[PreprocessingSpec]) -> Iterator[Group]:
    """Put small images that follow each other into groups; larger files, and videos, go alone."""
    group: list[Fetched] = []
    its_specs = list(specs)
    for each in files:
        own_specs = [spec.for_source(each.file.source) for spec in specs]
        is_small = each.file.kind == MediaKind.IMAGE and each.file.bytes <= SMALL_BYTES
        if group and (len(group) == GROUP_FILES or own_specs != its_specs or not is_small):
            yield Group(group, its_specs)
            group = []
        its_specs = own_specs
        group.append(each)
        if not is_small:
            yield Group(group, its_specs)
            group = []
    if group:
        yield Group(group, its_specs)


class Decoders:
    """Sandboxes for all cores, as a context manager."""

    def __init__(self, settings: Settings, files: int) -> None:
        self._settings = settings
        self._count = max(1, min(usable_cores(), files))
        self._free: SimpleQueue[DecoderSandbox] = SimpleQueue()
        self._opened = ExitStack()
        self._threads = ThreadPoolExecutor(self._count, "decoder")

    def __enter__(self) -> Self:
        for _ in range(self._count):
            sandbox = DecoderSandbox(
                timeout_s=self._settings.decode_timeout_s,
                memory_bytes=self._settings.decode_memory_bytes,
                max_pixels=self._settings.max_image_pixels,
                max_video_duration_s=self._settings.max_video_duration_s,
                threads=max(1, min(MAX_THREADS, usable_cores() // self._count)),
            )
            self._free.put(self._opened.enter_context(sandbox))
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._threads.shutdown(cancel_futures=True)
        self._opened.close()

    def decode(self, groups: Iterable[Group]) -> Iterator[Result]:
        """Decode groups, and yield the results in their order.

        `groups` is read ahead while others are decoded, as far as the disk's share allows: once a
        result is yielded, its file is needed no more.
        """
        waiting: deque[tuple[Group, Future[list[Result]]]] = deque()
        held_bytes = 0
        for group in groups:
            held_bytes += group.bytes
            waiting.append((group, self._threads.submit(self._decode_group, group)))
            while waiting and (
                len(waiting) >= GROUPS_PER_CORE * self._count or held_bytes > HELD_BYTES
            ):
                done, results = waiting.popleft()
                held_bytes -= done.bytes
                yield from results.result()
        for _, results in waiting:
            yield from results.result()

    def _decode_group(self, group: Group) -> list[Result]:
        sandbox = self._free.get()
        try:
            return list(_decoded(sandbox, group))
        finally:
            self._free.put(sandbox)


def _decoded(sandbox: DecoderSandbox, group: Group) -> Iterator[Result]:
    kind = MediaKind(group.files[0].file.kind)
    found = [each.path for each in group.files if each.error is None]
    decoded = iter(sandbox.decode_each(found, kind, group.specs) if found else ())
    for each in group.files:
        result = DecodedFile([], each.error, 0.0) if each.error else next(decoded)
        if isinstance(result.error, DecoderCrashedError):
            # The machine may have been to blame.
            [result] = sandbox.decode_each([each.path], kind, group.specs)
        processed = Processed(
            UUID(each.file.media_id),
            len(result.frames),
            result.error,
            result.milliseconds,
            decoder_of(kind),
            result.picture_px,
        )
        yield processed, result.frames
