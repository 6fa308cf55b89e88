"""Limits a child process that reads hostile bytes, and connects it to its parent."""

import math
import os
import resource
import sys
from typing import BinaryIO

MAX_OPEN_FILES = 32


def take_standard_output() -> BinaryIO:
    """Keep the pipe for replies alone: libraries' output must not get between them."""
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return replies


def limit_resources(memory_bytes: int) -> None:
    """Bound the address space and the open files; write no files and no cores."""
    for what, amount in (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_NOFILE, MAX_OPEN_FILES),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(what, (amount, amount))


def allow_cpu_time(seconds: float) -> None:
    """Let the process use this much more CPU time; then it is killed.

    Its parent watches the clock; this ends a child whose parent was killed.
    """
    usage = resource.getrusage(resource.RUSAGE_SELF)
    soft_s = math.ceil(usage.ru_utime + usage.ru_stime + seconds) + 1
    _, hard_s = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (soft_s, hard_s))


def read_exactly(count: int) -> bytes:
    """Read this number of bytes from standard input.

    Raises:
        EOFError: it ended too early.
    """
    data = sys.stdin.buffer.read(count)
    if len(data) < count:
        raise EOFError
    return data


def send(replies: BinaryIO, message: bytes) -> None:
    """Write one message at once."""
    replies.write(message)
    replies.flush()
