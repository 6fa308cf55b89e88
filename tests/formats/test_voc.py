"""Pascal VOC, as its own tools write it."""

from pathlib import Path

import pytest

from tests.formats.reading import FILES, box, read, shown
from visionops_assets.errors import InvalidRequestError
from visionops_assets.formats.records import Reading

OBJECT = """<object><name>car</name><bndbox>
<xmin>1</xmin><ymin>2</ymin><xmax>6</xmax><ymax>4</ymax></bndbox></object>"""
SIZE = "<size><width>10</width><height>10</height><depth>3</depth></size>"


def document(content: str = f"{SIZE}{OBJECT}") -> str:
    return f"<annotation><filename>1.jpg</filename>{content}</annotation>"


def written(folder: Path, text: str) -> Path:
    (folder / "1.xml").write_text(text)
    return folder / "1.xml"


def test_boxes_are_read_of_a_folder_and_of_one_file() -> None:
    entries, bad = read("voc", FILES / "voc")
    assert bad == {}
    assert set(entries) == {"000007.jpg", "dog & cat.jpg"}
    assert shown(entries["000007.jpg"]) == (
        (),
        (box("car", 0.282, 50 / 333, 0.718, 230 / 333),),
    )
    labels = [each.label for each in entries["dog & cat.jpg"].boxes]
    assert labels == ["dog", "größte cat"]
    assert entries["000007.jpg"].size_px == (500, 333)
    one, _ = read("voc", FILES / "voc" / "000007.xml")
    assert one["000007.jpg"].where == "000007.xml"


def test_a_copy_of_the_picture_is_found(tmp_path: Path) -> None:
    (tmp_path / "1.jpg").touch()
    path = written(tmp_path, document())
    entries, _ = read("voc", path, Reading(images=tmp_path))
    assert entries["1.jpg"].picture == tmp_path / "1.jpg"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<annotation>", "is no XML that can be read"),
        ("<annotation/>", "It is no annotation with a filename."),
        ("<other><filename>1.jpg</filename></other>", "It is no annotation with a filename."),
        (document(OBJECT), "object 1: The file does not say the width and height"),
        (document(SIZE + OBJECT.replace(">6<", ">x<")), "object 1: xmax is no number: 'x'."),
        (document(SIZE + OBJECT + "<object/>"), "object 2: xmin is no number"),
        (document(SIZE + OBJECT.replace("car", "")), "object 1: A box of '' cannot be used: label"),
        (document(SIZE + OBJECT.replace(">6<", ">60<")), "object 1: A box of 'car' reaches beyond"),
        (f'<!DOCTYPE a [<!ENTITY b "c">]>{document()}', "it declares a type of document"),
        (f'<!DOCTYPE a SYSTEM "file:///etc/passwd">{document()}', "it declares a type"),
    ],
)
def test_a_bad_file_is_told(tmp_path: Path, text: str, said: str) -> None:
    written(tmp_path, text)
    entries, bad = read("voc", tmp_path)
    assert entries == {}
    assert said in bad["1.xml"]


def test_a_picture_without_objects_says_nothing_and_a_folder_without_files_is_told(
    tmp_path: Path,
) -> None:
    assert read("voc", written(tmp_path, document(SIZE))) == ({}, {})
    (tmp_path / "1.xml").unlink()
    with pytest.raises(InvalidRequestError, match="has no XML file"):
        read("voc", tmp_path)
