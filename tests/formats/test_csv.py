"""CSV: a row per label."""

from pathlib import Path
from uuid import UUID

import pytest

from tests.formats.reading import box, read, shown
from visionops_assets.errors import InvalidRequestError
from visionops_assets.formats.records import Reading

HASH = 64 * "a"


def table(folder: Path, text: str) -> Path:
    path = folder / "labels.csv"
    path.write_text(text, encoding="utf-8-sig")
    return path


def test_rows_about_the_same_belong_together(tmp_path: Path) -> None:
    path = table(
        tmp_path,
        "path,label,start_s,end_s,x,y,width,height\n"
        "a/1.png,car\n"
        "a/1.png,van,,,0.1,0.2,0.3,0.4\n"
        "2.png,\n"
        "v.mp4,car,0,2.5\n"
        "v.mp4,van,2.5,4\n",
    )
    entries, bad = read("csv", path)
    assert bad == {}
    assert set(entries) == {"a/1.png", "v.mp4@0-2.5", "v.mp4@2.5-4"}
    assert shown(entries["a/1.png"]) == (("car",), (box("van", 0.1, 0.2, 0.3, 0.4),))
    assert entries["a/1.png"].where == "labels.csv, line 2"
    assert shown(entries["v.mp4@2.5-4"]) == (("van",), ())


def test_a_file_is_named_by_its_id_or_its_hash(tmp_path: Path) -> None:
    key = UUID(int=7)
    text = (
        f"media_id,sha256,label,picture_width_px,picture_height_px\n{key},,car,4,3\n,{HASH},car\n"
    )
    entries, bad = read("csv", table(tmp_path, text))
    assert bad == {}
    assert entries[str(key)].media_id == key
    assert entries[str(key)].size_px == (4, 3)
    assert entries[HASH].sha256 == HASH


def test_a_cell_may_hold_several_labels(tmp_path: Path) -> None:
    path = table(tmp_path, 'filename,label\n1.png,"car,van"\n')
    entries, _ = read("csv", path, Reading(split=lambda text: text.split(",")))
    assert entries["1.png"].labels == ("car", "van")
    assert read("csv", path)[0]["1.png"].labels == ("car,van",)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("x,,1.png,car,1", "end_s is no number: ''."),
        (",xyz,,car", "sha256 has no 64 hexadecimal digits: 'xyz'."),
        ("xyz,,,car", "media_id is no UUID: 'xyz'."),
        (",,1.png,car,,,0.5,0.5,1,1", "reaches beyond the picture"),
        (",,1.png,car,,,0.5,0.5", "width is no number: ''."),
        (",,1.png,car,,,nan,0,1,1", "x is no number: 'nan'."),
    ],
)
def test_a_bad_row_is_told_by_its_line_and_the_others_are_read(
    tmp_path: Path, row: str, said: str
) -> None:
    columns = "media_id,sha256,filename,label,start_s,end_s,x,y,width,height"
    path = table(tmp_path, f"{columns}\n{row}\n,,2.png,van\n")
    entries, bad = read("csv", path)
    assert set(entries) == {"2.png"}
    assert said in bad["labels.csv, line 2"]


def test_a_picture_with_a_bad_row_is_not_taken_in_part(tmp_path: Path) -> None:
    path = table(tmp_path, "filename,label,x,y,width,height\n1.png,car\n1.png,van,0,0,x,1\n")
    assert read("csv", path) == ({}, {"labels.csv, line 3": "width is no number: 'x'."})


@pytest.mark.parametrize("text", ["", "filename\n1.png\n", "label\ncar\n", "\0"])
def test_a_table_without_its_columns_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(InvalidRequestError, match=r"needs the column label|no CSV file"):
        read("csv", table(tmp_path, text))
