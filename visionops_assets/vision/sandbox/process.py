"""One child process of the sandbox, with its pipes and its clock."""

import os
import select
import subprocess
import sys
import time
from functools import partial
from typing import IO

from visionops_assets.errors import DecoderCrashedError
from visionops_assets.vision.sandbox.isolation import isolated
from visionops_assets.vision.sandbox.messages import (
    REPLY,
    Limits,
    PipeReader,
    ReadyReply,
    Reply,
    read_message,
)

CHILD_MODULE = "visionops_assets.vision.sandbox.child"
START_TIMEOUT_S = 60.0
# Not the caller's environment: that holds keys, which a decoder does not need.
# OpenCV's log has the complaints of libtiff; nobody else reads it.
CHILD_ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "OPENCV_LOG_LEVEL": "WARNING"}
READ_BYTES = 1 << 16


class ChildProcess:
    """Takes one request after another; once it is late, dead or wrong, it must be killed."""

    def __init__(self, limits: Limits) -> None:
        self._timeout_s = limits.timeout_s
        self._deadline_s = time.monotonic() + START_TIMEOUT_S
        self._is_ready = False
        self._process = subprocess.Popen(
            isolated(CHILD_MODULE, limits.model_dump_json()),
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=CHILD_ENVIRONMENT,
            start_new_session=True,
        )
        wait = partial(self._wait_for, self._stdout, select.POLLIN)
        self._reader = PipeReader(self._stdout, wait, READ_BYTES)
        # A hanging child leaves its pipe full: writing must not wait for it.
        os.set_blocking(self._stdin.fileno(), False)

    @property
    def pid(self) -> int:
        """Return the process id."""
        return self._process.pid

    def is_alive(self) -> bool:
        """Say whether it can take another file."""
        return self._process.poll() is None

    def kill(self) -> None:
        """Kill the process and close the pipes."""
        self._process.kill()
        self._process.wait()
        self._stdin.close()
        self._stdout.close()

    def begin_file(self) -> None:
        """Start the clock for the next file, as soon as the imports of the child are done.

        Raises:
            RuntimeError: the child does not start; no file is to blame.
        """
        if not self._is_ready:
            try:
                self._is_ready = isinstance(self._receive(0)[0], ReadyReply)
            except (EOFError, TimeoutError, ValueError):
                raise RuntimeError(
                    f"The decoder process ({sys.executable} -m {CHILD_MODULE}) does not start. "
                    "Its libraries need some 400 MB of its memory limit."
                ) from None
        self._deadline_s = time.monotonic() + self._timeout_s

    def send(self, message: bytes) -> None:
        """Send one message of the file at hand.

        Raises:
            DecoderCrashedError: the child does not take it.
        """
        unsent = memoryview(message)
        try:
            while unsent:
                self._wait_for(self._stdin, select.POLLOUT)
                unsent = unsent[self._stdin.write(unsent) :]
        except (TimeoutError, BrokenPipeError) as error:
            raise self._crash(error) from None

    def receive(self, max_body_bytes: int) -> tuple[Reply, bytes]:
        """Wait for one reply and its body.

        Raises:
            DecoderCrashedError: the child died, is late, or sent an invalid reply.
        """
        try:
            return self._receive(max_body_bytes)
        except (EOFError, TimeoutError, ValueError) as error:
            raise self._crash(error) from None

    def _crash(self, error: Exception) -> DecoderCrashedError:
        match error:
            case TimeoutError():
                problem = f"ran past {self._timeout_s:g} s"
            case ValueError():
                problem = f"sent an invalid reply ({type(error).__name__})"
            case _:
                problem = f"died (exit status {self._process.wait()})"
        return DecoderCrashedError(f"The decoder {problem} on this file.")

    def _receive(self, max_body_bytes: int) -> tuple[Reply, bytes]:
        header, body = read_message(self._reader.read_exactly, max_body_bytes=max_body_bytes)
        return REPLY.validate_json(header), body

    def _wait_for(self, pipe: IO[bytes], event: int) -> None:
        poll = select.poll()
        poll.register(pipe, event)
        if not poll.poll(max(0.0, self._deadline_s - time.monotonic()) * 1_000):
            raise TimeoutError

    @property
    def _stdin(self) -> IO[bytes]:
        assert self._process.stdin is not None  # noqa: S101 - opened as a pipe
        return self._process.stdin

    @property
    def _stdout(self) -> IO[bytes]:
        assert self._process.stdout is not None  # noqa: S101 - opened as a pipe
        return self._process.stdout
