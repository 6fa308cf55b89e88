"""Waiting for what other processes and threads do."""

import time
from collections.abc import Callable
from typing import TypeVar

import pytest

Found = TypeVar("Found")
_POLL_S = 0.1


def eventually(what: str, look: Callable[[], Found | None], timeout_s: float = 60.0) -> Found:
    """Look until what is there is neither None nor False; fail after `timeout_s`."""
    deadline_s = time.monotonic() + timeout_s
    while time.monotonic() < deadline_s:
        found = look()
        if found is not None and found is not False:
            return found
        time.sleep(_POLL_S)
    pytest.fail(f"not within {timeout_s:.0f} s: {what}")
