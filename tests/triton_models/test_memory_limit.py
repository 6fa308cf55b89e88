"""A hostile image fails alone: the process that decodes it may grow by so much, and no more."""

import importlib
import resource
from pathlib import Path
from types import ModuleType

import pytest

from tests.triton_models.test_model import CARD
from visionops_assets.settings import Settings

DECODER_BYTES = 123_000_000


def data_bytes() -> int:
    """Return the private memory of this process, as its limit counts it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith("VmData")))


@pytest.mark.parametrize(
    ("hard", "expected"),
    [(resource.RLIM_INFINITY, None), (10**15, None), (50_000_000, 50_000_000)],
)
def test_the_limit_is_set_when_images_are_about_to_come(
    triton_backend: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    hard: int,
    expected: int | None,
) -> None:
    """What the process has already, and one decoder's part; never above what the system allows."""
    steps = importlib.import_module("steps")
    given: list[tuple[int, tuple[int, int]]] = []
    monkeypatch.setattr(steps.cv2, "setNumThreads", lambda _: None)
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda *limit: given.append(limit))
    before = data_bytes()
    steps.Preprocessor(CARD, Settings(decode_memory_bytes=DECODER_BYTES))
    ((which, (soft, kept_hard)),) = given
    assert (which, kept_hard) == (resource.RLIMIT_DATA, hard)
    if expected is None:
        assert before <= soft - DECODER_BYTES <= data_bytes() + 2**24
    else:
        assert soft == expected
