"""COCO, as its own tools write it."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.formats.reading import FILES, box, read, shown
from visionops_assets.errors import InvalidRequestError

ONE = {"id": 1, "file_name": "1.png", "width": 10, "height": 10}
CAR = {"id": 3, "name": "car"}
BOX = {"id": 1, "image_id": 1, "category_id": 3, "bbox": [1, 1, 2, 2]}


def written(folder: Path, **parts: Any) -> Path:
    document = {"images": [ONE], "categories": [CAR], "annotations": [BOX]} | parts
    (folder / "c.json").write_text(json.dumps(document))
    return folder / "c.json"


def test_boxes_outlines_and_labels_of_whole_pictures_are_read() -> None:
    entries, bad = read("coco", FILES / "coco.json")
    assert bad == {"coco.json, annotations[4]": "There is no image with the id 404."}
    assert set(entries) == {"gate/1.jpg", "2.jpg", "3.jpg"}
    assert shown(entries["gate/1.jpg"]) == (
        (),
        (box("car", 0.1, 0.1, 0.2, 0.5), box("van", 0, 0, 1, 1)),
    )
    assert shown(entries["2.jpg"]) == ((), (box("car", 0.1, 0.1, 0.5, 0.5),))
    assert shown(entries["3.jpg"]) == (("van",), ())
    assert entries["2.jpg"].size_px == (200, 100)
    assert entries["2.jpg"].where == "coco.json, images[1]"


@pytest.mark.parametrize(
    ("annotation", "said"),
    [
        ({"category_id": 4}, "annotations[0]: There is no category 4."),
        ({"category_id": [4]}, "annotations[0]: There is no category [4]."),
        ({"bbox": [1, 2]}, "annotations[0]: bbox is no list of four numbers."),
        ({"bbox": [1, 2, "x", 4]}, "annotations[0]: bbox is no number: 'x'."),
        ({"bbox": [5, 5, 50, 2]}, "annotations[0]: A box of 'car' reaches beyond the picture"),
        ({"bbox": [5, 5, 0, 2]}, "annotations[0]: A box of 'car' cannot be used: width"),
        ({"bbox": None, "segmentation": {"counts": [1]}}, "It has a mask and no bbox"),
    ],
)
def test_a_picture_with_a_bad_annotation_is_not_taken_in_part(
    tmp_path: Path, annotation: dict[str, Any], said: str
) -> None:
    path = written(tmp_path, annotations=[BOX | annotation, BOX | {"id": 2}])
    entries, bad = read("coco", path)
    assert entries == {}
    assert said in bad["c.json, images[0]"]


@pytest.mark.parametrize(
    ("image", "said"),
    [
        ({"file_name": None}, "The image has no file_name."),
        ({"width": None}, "does not say the width and height"),
        ({"width": 1.5}, "The picture's size is no number of pixels: 1.5."),
        ({"width": 10**9}, "no number of pixels"),
        ({"width": "many"}, "The picture's size is no number: 'many'."),
    ],
)
def test_a_bad_image_is_told(tmp_path: Path, image: dict[str, Any], said: str) -> None:
    _, bad = read("coco", written(tmp_path, images=[ONE | image]))
    assert said in bad["c.json, images[0]"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is no JSON"),
        ('{"a": NaN}', "is no JSON"),
        (
            "[]",
            "needs the lists images, categories and annotations of objects, and has no such images",
        ),
        ('{"images": [], "categories": [1]}', "and has no such categories"),
    ],
)
def test_a_file_that_is_none_is_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "c.json").write_text(text)
    with pytest.raises(InvalidRequestError, match=said):
        read("coco", tmp_path / "c.json")
