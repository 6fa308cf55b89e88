"""Files that the tools' own libraries wrote, as our readers take them. See `written/write.py`."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.formats.reading import read
from visionops_assets.formats.records import Entry, Reading

FILES = Path(__file__).parent / "written" / "files"
SIZE = (64, 48)
ONE = [("car", (8, 6, 24, 18)), ("van", (32, 24, 63.5, 47.5))]
TWO = [("Fußgänger & co", (0, 0, 10.25, 48))]
NIGHT = [("car", (63, 47, 64, 48))]
# A rectangle of 16 x 12 px that is turned by 90 degrees about its upper left corner, at (32, 24).
TURNED = [("van", (20, 24, 32, 40))]
# The converter turns it in shares of an oblong picture, or not at all.
TURNED_IN_COCO, NOT_TURNED = [("van", (16, 24, 32, 36))], [("van", (32, 24, 48, 36))]
Corners = Sequence[tuple[str, tuple[float, ...]]]


def in_px(entry: Entry) -> list[tuple[str, tuple[float, ...]]]:
    width, height = SIZE
    return [
        (
            box.label,
            (
                *(box.x * width, box.y * height),
                *((box.x + box.width) * width, (box.y + box.height) * height),
            ),
        )
        for box in entry.boxes
    ]


def assert_boxes(entry: Entry, expected: Corners, within_px: float = 0.01) -> None:
    found = in_px(entry)
    assert [label for label, _ in found] == [label for label, _ in expected]
    for (_, corners), (_, told) in zip(found, expected, strict=True):
        assert corners == pytest.approx(told, abs=within_px)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    in_sets = ("train/day/1", "train/day/two words", "val/night")
    for name in (*in_sets, "night", "1", "two words", "0a1b2c3d-turned"):
        place = tmp_path / f"{name}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()
    return tmp_path


@pytest.mark.parametrize(
    ("name", "file", "expected"),
    [
        (
            "coco",
            "datumaro-coco/annotations/instances_train.json",
            {"day/1.png": ONE, "day/two words.png": TWO},
        ),
        ("coco", "datumaro-coco/annotations/instances_val.json", {"night.png": NIGHT}),
        ("coco", "supervision-coco.json", {"night.png": NIGHT}),
        (
            "coco",
            "label-studio-coco/result.json",
            {
                "pictures/day/1.png": ONE,
                "pictures/day/two words.png": TWO,
                "turned.png": TURNED_IN_COCO,
            },
        ),
        ("cvat", "datumaro-cvat/train.xml", {"day/1.png": ONE, "day/two words.png": TWO}),
        ("cvat", "datumaro-cvat/val.xml", {"night.png": NIGHT}),
        (
            "voc",
            "datumaro-voc/Annotations",
            {"day/1.png": ONE, "day/two words.png": TWO, "night.png": NIGHT},
        ),
        ("voc", "supervision-voc", {"night.png": NIGHT}),
        (
            "label-studio",
            "label-studio.json",
            {"pictures/day/1.png": ONE, "pictures/day/two words.png": TWO, "turned.png": TURNED},
        ),
        (
            "yolo",
            "datumaro-yolo",
            {"train/day/1.png": ONE, "train/day/two words.png": TWO, "val/night.png": NIGHT},
        ),
        ("yolo", "supervision-yolo", {"night.png": NIGHT}),
        (
            "yolo",
            "label-studio-yolo",
            {"1.png": ONE, "two words.png": TWO, "0a1b2c3d-turned.png": NOT_TURNED},
        ),
    ],
)
def test_boxes_are_read_as_the_tool_wrote_them(
    pictures: Path, name: str, file: str, expected: dict[str, Corners]
) -> None:
    entries, bad = read(name, FILES / file, Reading(images=pictures))
    assert bad == {}
    assert set(entries) == set(expected)
    for title, corners in expected.items():
        assert_boxes(entries[title], corners)


def test_label_studio_rounds_boxes_of_voc_to_pixels() -> None:
    entries, bad = read("voc", FILES / "label-studio-voc" / "Annotations")
    assert bad == {}
    assert set(entries) == {"1.png", "two%20words.png", "0a1b2c3d-turned.png"}
    assert_boxes(entries["1.png"], ONE, within_px=0.51)


def test_labels_of_whole_pictures_are_read_as_the_tool_wrote_them() -> None:
    folder = FILES / "datumaro-coco-labels" / "annotations"
    entries, bad = read("coco", folder / "labels_default.json")
    assert bad == {}
    assert {title: each.labels for title, each in entries.items()} == {
        "day/1.png": ("car",),
        "night.png": ("Fußgänger & co",),
    }
    entries, bad = read("coco", folder / "instances_default.json")
    assert bad == {}
    assert_boxes(entries["day/1.png"], [("van", (8, 6, 24, 18))])
    entries, bad = read("cvat", FILES / "datumaro-cvat-tags" / "default.xml")
    assert bad == {}
    assert {title: each.labels for title, each in entries.items()} == {
        "day/1.png": ("car",),
        "night.png": ("Fußgänger & co",),
    }
    assert_boxes(entries["day/1.png"], [("van", (8, 6, 24, 18))])
    [turned] = [
        each
        for title, each in read("label-studio", FILES / "label-studio.json")[0].items()
        if title == "turned.png"
    ]
    assert turned.labels == ("car",)


def test_tracks_of_a_video_are_read_as_the_tool_wrote_them() -> None:
    file = FILES / "datumaro-cvat-video" / "default.xml"
    entries, bad = read("cvat", file, Reading(fps=10))
    assert bad == {}
    assert [(each.name, each.start_s, each.end_s) for each in entries.values()] == [
        ("default", frame / 10, (frame + 1) / 10) for frame in range(4)
    ]
    car, van = ("car", (16, 6, 32, 18)), ("van", (16, 6, 32, 18))
    parts = list(entries.values())
    assert_boxes(parts[2], [car, van])
    # It has left the picture.
    assert [label for label, _ in in_px(parts[3])] == ["car"]
