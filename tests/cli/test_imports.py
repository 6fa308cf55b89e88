import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from visionops_assets.cli import imports
from visionops_assets.errors import InvalidRequestError


def run(origin: str, **options: Any) -> None:
    defaults = {
        "source": "import",
        "label": None,
        "label_by_folder": False,
        "parallel": 1,
        "key": None,
        "endpoint_url": None,
        "again": False,
        "dry_run": True,
        "as_json": False,
    }
    imports.import_media(origin, **(defaults | options))


def test_a_label_is_said_one_way(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match="not both"):
        run(str(tmp_path), label="cat", label_by_folder=True)


@pytest.mark.parametrize("origin", ["s3://", "s3:///prefix"])
def test_an_address_in_s3_names_a_bucket(origin: str) -> None:
    with pytest.raises(InvalidRequestError, match="s3://bucket/prefix"):
        run(origin)


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        run(str(tmp_path / "nowhere"))


@pytest.fixture
def python_handles_interrupts() -> Iterator[None]:
    """A job in the background of a shell starts with this signal ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("python_handles_interrupts")
def test_the_first_signal_stops_and_the_second_ends() -> None:
    stops: list[None] = []
    before = signal.getsignal(signal.SIGINT)
    with imports._stopping(lambda: stops.append(None)):
        signal.raise_signal(signal.SIGINT)
        assert len(stops) == 1
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert len(stops) == 1
    assert signal.getsignal(signal.SIGINT) is before
