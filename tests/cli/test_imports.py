import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from visionops_assets.cli import imports
from visionops_assets.errors import InvalidRequestError
from visionops_assets.settings import load_settings


def run(origin: str, **options: Any) -> None:
    defaults = {
        "source": "import",
        "label": None,
        "label_by_folder": False,
        "labels": None,
        "model": None,
        "parallel": 1,
        "key": None,
        "endpoint_url": None,
        "again": False,
        "dry_run": True,
        "as_json": False,
    }
    imports.import_media(origin, **(defaults | options))


def test_a_label_is_said_one_way(tmp_path: Path) -> None:
    for options in ({"label_by_folder": True}, {"labels": tmp_path / "labels.csv"}):
        with pytest.raises(InvalidRequestError, match="Give one of"):
            run(str(tmp_path), label="cat", **options)


def test_a_table_labels_files_by_their_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VISIONOPS_HOME", str(tmp_path / "home"))
    load_settings.cache_clear()
    folder, table = tmp_path / "files", tmp_path / "labels.csv"
    folder.mkdir()
    for name in ("a.png", "b.png"):
        (folder / name).write_bytes(b"1")
    table.write_text("\ufeffpath,label\na.png, car \nb.png,\n")
    run(str(folder), labels=table, as_json=True)
    shown = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {fact["path"]: fact["label"] for fact in shown} == {"a.png": "car", "b.png": None}
    table.write_text("path,label\nfiles/a.png,car\n")
    with pytest.raises(InvalidRequestError, match="labels none of the files"):
        run(str(folder), labels=table)
    load_settings.cache_clear()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no column label and no column path"),
        (b"path,answer\n", "no column label"),
        (b'path,label\na.png,"car\n', "is no CSV file"),
        (b"path,label\na.png,\xff\n", "is no CSV file in UTF-8"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(
    tmp_path: Path, content: bytes, message: str
) -> None:
    table = tmp_path / "labels.csv"
    table.write_bytes(content)
    with pytest.raises(InvalidRequestError) as refused:
        imports.read_labels(table)
    assert message in str(refused.value)


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
