"""One child process that reads one camera, and the pipes to it."""

import select
import subprocess
import time
from collections.abc import Iterator
from threading import Event
from typing import Self

from visionops_assets.vision.capture.messages import (
    CAPTURE_REPLY,
    MAX_CUT_BYTES,
    CaptureReply,
    CaptureRequest,
)
from visionops_assets.vision.sandbox.isolation import isolated
from visionops_assets.vision.sandbox.messages import PipeReader, encode_message, read_message
from visionops_assets.vision.sandbox.process import CHILD_ENVIRONMENT

CHILD_MODULE = "visionops_assets.vision.capture.child"
# Longer than the child itself waits for a stream to open, or for its next bytes.
MAX_SILENCE_S = 30.0
READ_BYTES = 1 << 18
STOP_POLL_S = 0.5


class ChildEndedError(Exception):
    """The child died, fell silent, or sent bytes that are not a reply."""


class CaptureProcess:
    """A context manager around one child, which is killed at its end.

    It is a new interpreter without our environment, which holds keys. It gets the address by its
    standard input: the command line of a process is public.
    """

    def __init__(self, request: CaptureRequest, stop: Event) -> None:
        self._stop = stop
        self._process = subprocess.Popen(
            isolated(CHILD_MODULE),
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=CHILD_ENVIRONMENT,
            start_new_session=True,
        )
        assert self._process.stdin is not None  # noqa: S101 - opened as pipes
        assert self._process.stdout is not None  # noqa: S101
        self._stdout = self._process.stdout
        self._reader = PipeReader(self._stdout, self._wait_for_bytes, READ_BYTES)
        with self._process.stdin as requests:
            requests.write(encode_message(request))

    @property
    def pid(self) -> int:
        """Return the process id."""
        return self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._stdout.close()

    def replies(self) -> Iterator[tuple[CaptureReply, bytes]]:
        """Yield each reply and its body, until `stop` is set.

        Raises:
            ChildEndedError: no further reply will come.
        """
        while True:
            try:
                header, body = read_message(self._reader.read_exactly, max_body_bytes=MAX_CUT_BYTES)
                reply = CAPTURE_REPLY.validate_json(header)
            except InterruptedError:
                return
            except EOFError:
                status = self._process.wait()
                raise ChildEndedError(f"its reader died (exit status {status})") from None
            except TimeoutError:
                raise ChildEndedError(f"nothing came for {MAX_SILENCE_S:g} s") from None
            except ValueError as error:
                raise ChildEndedError(
                    f"its reader sent no reply ({type(error).__name__})"
                ) from None
            yield reply, body

    def _wait_for_bytes(self) -> None:
        """Wait for the next bytes.

        Raises:
            InterruptedError: `stop` was set.
            TimeoutError: none came for too long.
        """
        poll = select.poll()
        poll.register(self._stdout, select.POLLIN)
        deadline_s = time.monotonic() + MAX_SILENCE_S
        while not poll.poll(STOP_POLL_S * 1_000):
            if self._stop.is_set():
                raise InterruptedError
            if time.monotonic() > deadline_s:
                raise TimeoutError
        if self._stop.is_set():
            raise InterruptedError
