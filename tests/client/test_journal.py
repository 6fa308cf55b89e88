"""Whatever is left of a journal, an import goes on from it."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from visionops_assets.client.importing.journal import Journal, Order
from visionops_assets.client.importing.listing import Item
from visionops_assets.errors import VisionOpsError

ORDER = Order("/data/photos", "http://127.0.0.1:8080", "import")
# Any text a file name may decode to, half surrogate pairs included.
NAMES = st.text(st.characters(), min_size=1, max_size=12)


def item(path: str, size_bytes: int = 1, version: str = "1") -> Item:
    return Item(path, size_bytes, version, datetime(2026, 3, 1, tzinfo=UTC))


@contextmanager
def a_folder() -> Iterator[Path]:
    with TemporaryDirectory() as folder:
        yield Path(folder) / "imports"


def write(folder: Path, items: list[Item]) -> Path:
    with Journal(folder, ORDER) as journal:
        for each in items:
            journal.add(each, uuid4())
        return journal.path


@given(st.lists(NAMES, unique=True, max_size=8), st.data())
def test_any_prefix_of_a_journal_is_a_journal(names: list[str], data: st.DataObject) -> None:
    items = [item(name) for name in names]
    with a_folder() as folder:
        path = write(folder, items)
        content = path.read_bytes()
        kept = content[: data.draw(st.integers(0, len(content)))]
        path.write_bytes(kept)
        done = max(0, kept.count(b"\n") - 1)  # The first line says which import it is.
        with Journal(folder, ORDER) as journal:
            assert [journal.has(each) for each in items] == [i < done for i in range(len(items))]
        write(folder, items[done:])
        assert path.read_bytes().count(b"\n") == content.count(b"\n")
        with Journal(folder, ORDER) as journal:
            assert all(map(journal.has, items))


def test_what_a_power_cut_left_behind_the_last_line_is_cut_off(tmp_path: Path) -> None:
    path = write(tmp_path, [item("a.png")])
    whole = path.read_bytes()
    path.write_bytes(whole + b"\0\0\0\n" + b"\0")
    with Journal(tmp_path, ORDER) as journal:
        assert journal.has(item("a.png"))
    assert path.read_bytes() == whole


@pytest.mark.parametrize(
    "changed",
    [item("a.png", 2), item("a.png", 1, "2"), item("b.png")],
    ids=["size", "time", "name"],
)
def test_a_file_that_changed_is_not_done(tmp_path: Path, changed: Item) -> None:
    write(tmp_path, [item("a.png")])
    with Journal(tmp_path, ORDER) as journal:
        assert not journal.has(changed)


def test_afresh_forgets(tmp_path: Path) -> None:
    write(tmp_path, [item("a.png")])
    with Journal(tmp_path, ORDER, afresh=True) as journal:
        journal.add(item("b.png"), UUID(int=1))
    with Journal(tmp_path, ORDER) as journal:
        assert not journal.has(item("a.png"))
        assert journal.has(item("b.png"))


def test_an_import_runs_once_at_a_time(tmp_path: Path) -> None:
    with Journal(tmp_path, ORDER), pytest.raises(VisionOpsError, match="running already"):
        Journal(tmp_path, ORDER)
    with Journal(tmp_path, ORDER):
        pass


def test_another_order_has_another_journal() -> None:
    orders = [
        ORDER,
        Order("/data/other\udcff", ORDER.ingest_url, "import"),
        Order(ORDER.address, "http://elsewhere", "import"),
        Order(ORDER.address, ORDER.ingest_url, "camera"),
        Order(ORDER.address, ORDER.ingest_url, "import", label="cat"),
        Order(ORDER.address, ORDER.ingest_url, "import", label_by_folder=True),
        Order(ORDER.address, ORDER.ingest_url, "import", labels_file="/l.csv"),
        Order(ORDER.address, ORDER.ingest_url, "import", model="birds"),
    ]
    assert len({order.import_id for order in orders}) == len(orders)
    assert Order(ORDER.address, ORDER.ingest_url, "import").import_id == ORDER.import_id


def test_an_order_of_an_earlier_version_has_the_journal_of_before() -> None:
    before = Order("/data/photos", "http://127.0.0.1:8080", "import", label="cat")
    assert before.import_id == "0f3ac65a0d44c2ee"
