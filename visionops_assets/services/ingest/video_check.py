"""Looks at a stored video before it is acknowledged: streams, size, duration, codec."""

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from threading import local

from visionops_assets.errors import CorruptMediaError, DecoderCrashedError
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.settings import Settings
from visionops_assets.vision.sandbox.decoder import DecoderSandbox

PARALLEL_CHECKS = 2

_log = logging.getLogger(__name__)


class VideoCheck:
    """Probes videos in sandboxed children, which are started with the first video."""

    def __init__(self, settings: Settings, store: ObjectStore) -> None:
        self._settings = settings
        self._store = store
        self._threads = ThreadPoolExecutor(PARALLEL_CHECKS, thread_name_prefix="video-check")
        self._sandboxes = ExitStack()
        self._own = local()

    def close(self) -> None:
        """End the children."""
        self._threads.shutdown(cancel_futures=True)
        self._sandboxes.close()

    async def check(self, object_key: str, size_bytes: int) -> None:
        """Read the facts of the container, by ranges of the stored object.

        A file that does not open, or that crashes the prober, passes. It is quarantined when it is
        decoded, and can be inspected there.

        Raises:
            MediaError: no video stream, no frames, too many pixels, too long, or a codec that is
                not accepted.
        """
        probe = partial(self._probe, object_key, size_bytes)
        try:
            await asyncio.get_running_loop().run_in_executor(self._threads, probe)
        except (CorruptMediaError, DecoderCrashedError) as error:
            _log.warning("%s is left to the decoder: %s", object_key, error)

    def _probe(self, object_key: str, size_bytes: int) -> None:
        self._sandbox().probe(partial(self._store.get_range, object_key), size_bytes)

    def _sandbox(self) -> DecoderSandbox:
        """Return the sandbox of this thread."""
        if not hasattr(self._own, "sandbox"):
            sandbox = DecoderSandbox(
                timeout_s=self._settings.decode_timeout_s,
                memory_bytes=self._settings.decode_memory_bytes,
                max_pixels=self._settings.max_image_pixels,
                max_video_duration_s=self._settings.max_video_duration_s,
            )
            self._own.sandbox = self._sandboxes.enter_context(sandbox)
        own: DecoderSandbox = self._own.sandbox
        return own
