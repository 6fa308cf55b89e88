"""What is written in a format is read again as it was, and what it cannot hold is told."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from uuid import UUID
from xml.etree import ElementTree

import pytest

from tests.formats.reading import box, read, shown
from visionops_assets.errors import InvalidRequestError
from visionops_assets.formats.records import Entry, Reading
from visionops_assets.formats.registry import FORMATS, format_named

CAR, VAN = box("car", 0.1, 0.2, 0.3, 0.4), box("größe & <co>", 0.123457, 0, 0.5, 1)
BOXED = Entry("", "a/1.png", boxes=(CAR, VAN), size_px=(640, 480))
PLAIN = Entry("", "b/2.png", UUID(int=2), 64 * "b", labels=("car",))
BOTH = Entry("", "3.png", labels=("bus",), boxes=(CAR,), size_px=(1001, 333))
UNSIZED = Entry("", "4.png", boxes=(CAR,))
PART = Entry("", "5.mp4", start_s=1.0, end_s=2.5, labels=("car",))
EMPTY = Entry("", "6.png")
ALL = (BOXED, PLAIN, BOTH, UNSIZED, PART, EMPTY)
LEFT_OUT = {
    "csv": {"6.png"},
    "coco": {"4.png", "5.mp4", "6.png"},
    "yolo": {"b/2.png", "3.png", "5.mp4", "6.png"},
    "cvat": {"4.png", "5.mp4", "6.png"},
    "label-studio": {"5.mp4", "6.png"},
    "voc": {"b/2.png", "3.png", "4.png", "5.mp4", "6.png"},
}


WRITABLE = sorted(set(FORMATS) - {"folders"})


@pytest.mark.parametrize("name", WRITABLE)
def test_what_is_written_is_read_again(tmp_path: Path, name: str) -> None:
    path = tmp_path / "out" / "labels"
    left_out = format_named(name).write(path, iter(ALL))
    assert {row.where for row in left_out.rows} == LEFT_OUT[name]
    assert all(row.reason.endswith(".") for row in left_out.rows)
    entries, bad = read(name, path, Reading(images=copies_of(ALL, tmp_path / "pictures")))
    assert bad == {}
    expected = {each.title: each for each in ALL if each.title not in LEFT_OUT[name]}
    assert {title.partition("@")[0] for title in entries} == set(expected)
    for title, entry in entries.items():
        told = expected[title.partition("@")[0]]
        labels, boxes = shown(entry)
        assert set(labels) == set(told.labels), title
        assert sorted(map(near, boxes)) == sorted(map(near, told.boxes)), title
        assert (entry.start_s, entry.end_s) == (told.start_s, told.end_s)


def test_a_file_of_cvat_lists_its_labels(tmp_path: Path) -> None:
    format_named("cvat").write(tmp_path / "c.xml", [BOXED, BOTH])
    names = ElementTree.parse(tmp_path / "c.xml").findall("meta/task/labels/label/name")
    assert [name.text for name in names] == ["car", "größe & <co>", "bus"]


@pytest.mark.parametrize("name", WRITABLE)
def test_nothing_is_written_over(tmp_path: Path, name: str) -> None:
    path = tmp_path / "labels"
    format_named(name).write(path, [replace(BOXED)])
    with pytest.raises(InvalidRequestError, match="exists already: name another"):
        format_named(name).write(path, [BOXED])


@pytest.mark.parametrize("name", ["yolo", "voc"])
def test_no_name_leads_out_of_the_folder_nor_takes_the_file_of_another(
    tmp_path: Path, name: str
) -> None:
    titles = ("../out.png", "/out.png", "a/1.png", "a/1.jpg", "nul\0.png", 300 * "x" + ".png")
    entries = [replace(BOXED, name=title) for title in titles]
    left_out = format_named(name).write(tmp_path / "labels", entries)
    assert {row.where: row.reason for row in left_out.rows} == {
        "../out.png": "Its name leads out of the folder.",
        "/out.png": "Its name leads out of the folder.",
        "a/1.jpg": "Another picture is called 1, with another ending.",
        "nul\0.png": "No file can have its name.",
        300 * "x" + ".png": "No file can have its name.",
    }
    written = [path for path in tmp_path.rglob("*") if path.is_file() and path.stem == "1"]
    assert len(written) == 1


def test_folders_of_classes_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match="an export has labels alone"):
        format_named("folders").write(tmp_path / "labels", [PLAIN])
    assert not (tmp_path / "labels").exists()


def copies_of(entries: Iterable[Entry], folder: Path) -> Path:
    """Lay files in a folder that are called as pictures: some formats name only those."""
    for entry in entries:
        place = folder / entry.title
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()
    return folder


def near(found: object) -> tuple[object, ...]:
    """Return a box to a thousandth of a picture: formats of pixels round them."""
    values = dict(found)  # type: ignore[call-overload]
    return tuple(each if isinstance(each, str) else round(each, 4) for each in values.values())


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="There is no format 'x': choose one of csv"):
        format_named("x")
