"""YOLO, as its own tools write it."""

from pathlib import Path

import pytest

from tests.formats.reading import box, read, shown
from visionops_assets.errors import InvalidRequestError
from visionops_assets.formats.records import Reading

DESCRIPTION = """# As Ultralytics describes its datasets.
path: ../datasets/gate
train: images/day
val: images/night
names:
  0: car
  1: delivery van
"""
BOXES = "0 0.25 0.5 0.5 0.4\n\n1 0.75 0.25 0.1 0.1\n"
OUTLINE = "1 0.1 0.2 0.5 0.2 0.3 0.8\n"


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """A dataset of two pictures with boxes, one without, and one that is not there."""
    root = tmp_path / "gate"
    texts = {"day/1": BOXES, "night/2": OUTLINE, "day/none": "", "day/gone": BOXES}
    for name, text in texts.items():
        place = root / "labels" / f"{name}.txt"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    for name in ("day/1.JPG", "night/2.png", "day/none.jpg"):
        place = root / "images" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()
    (root / "README.txt").write_text("Not labels.")
    (root / "data.yaml").write_text(DESCRIPTION)
    return root


def test_boxes_and_outlines_are_read(dataset: Path) -> None:
    entries, bad = read("yolo", dataset)
    assert set(entries) == {"images/day/1.JPG", "images/night/2.png"}
    first = entries["images/day/1.JPG"]
    assert first.boxes[0] == box("car", 0, 0.3, 0.5, 0.4)
    assert first.boxes[1].label == "delivery van"
    assert first.picture == dataset / "images/day/1.JPG"
    labels, (found,) = shown(entries["images/night/2.png"])
    assert labels == ()
    assert found.model_dump() == pytest.approx(box("delivery van", 0.1, 0.2, 0.4, 0.6).model_dump())
    assert bad == {
        "labels/day/gone.txt": "There is no picture for it in images/day: lay it there, or name "
        "the folder of the pictures by --images."
    }


def test_pictures_may_lie_elsewhere_or_beside_as_exports_of_some_tools(
    dataset: Path, tmp_path: Path
) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    (pictures / "gone.webp").touch()
    entries, bad = read("yolo", dataset, Reading(images=pictures))
    assert bad == {}
    assert entries["gone.webp"].picture == pictures / "gone.webp"
    moved = tmp_path / "moved"
    (moved / "train").mkdir(parents=True)
    (dataset / "labels/day").rename(moved / "train/labels")
    (dataset / "images/day").rename(moved / "train/images")
    (moved / "data.yaml").write_text("names: [car, van]")
    entries, _ = read("yolo", moved)
    assert [each.label for each in entries["train/images/1.JPG"].boxes] == ["car", "van"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("2 0.5 0.5 0.1 0.1", "line 2: data.yaml has no class 2."),
        ("0.5 0.5 0.5 0.1 0.1", "line 2: data.yaml has no class 0.5."),
        ("car 0.5 0.5 0.1 0.1", "line 2: A word of the line is no number: 'car'."),
        ("0 0.5 0.5 0.1", "line 2: It is neither a box of four numbers nor an outline"),
        ("0 0.5 0.5 0.1 0.1 0.9", "line 2: It is neither"),
        ("0 0.9 0.5 0.5 0.1", "line 2: A box of 'car' reaches beyond the picture"),
        ("0 0.5 0.5 0 0.1", "line 2: A box of 'car' cannot be used: width"),
        ("0 nan 0.5 0.1 0.1", "line 2: A word of the line is no number: 'nan'."),
    ],
)
def test_a_picture_with_a_bad_line_is_not_taken_in_part(
    dataset: Path, line: str, said: str
) -> None:
    (dataset / "labels/day/1.txt").write_text(f"0 0.5 0.5 0.1 0.1\n{line}\n")
    entries, bad = read("yolo", dataset)
    assert set(entries) == {"images/night/2.png"}
    assert said in bad["labels/day/1.txt"]


def test_a_file_that_is_no_text_is_told(dataset: Path) -> None:
    (dataset / "labels/day/1.txt").write_bytes(b"\xff\xfe0")
    assert read("yolo", dataset)[1]["labels/day/1.txt"] == "It is no text, or too large."


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "data.yaml is no file"),
        ("names: [", "is no YAML"),
        ("- car", "has no names of classes"),
        ("names: car", "has no names of classes"),
        ("names: {a: car}", "has no names of classes"),
        ("names: !!python/object/apply:os.getcwd []", "is no YAML"),
    ],
)
def test_a_description_that_is_none_is_refused(dataset: Path, text: str | None, said: str) -> None:
    (dataset / "data.yaml").unlink()
    if text is not None:
        (dataset / "data.yaml").write_text(text)
    with pytest.raises(InvalidRequestError, match=said):
        read("yolo", dataset)
    with pytest.raises(InvalidRequestError, match="is no folder, and this format is one with"):
        read("yolo", dataset / "data.yaml")
