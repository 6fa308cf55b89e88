"""Label Studio's JSON, as it exports tasks."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.formats.reading import FILES, box, read, shown
from visionops_assets.errors import InvalidRequestError

VALUE = {"x": 10, "y": 20, "width": 30, "height": 40, "rectanglelabels": ["car"]}
SIZE: dict[str, Any] = {"original_width": 200, "original_height": 100}


def written(folder: Path, result: object, data: object = None) -> Path:
    named = {"image": "s3://bucket/gate/1.png"} if data is None else data
    task = {"data": named, "annotations": [{"result": [result]}]}
    (folder / "t.json").write_text(json.dumps([task]))
    return folder / "t.json"


def rectangle(size: dict[str, Any] = SIZE, **changes: Any) -> dict[str, Any]:
    return {"type": "rectanglelabels", "value": VALUE | changes, **size}


def test_the_newest_annotation_of_each_task_is_read() -> None:
    entries, bad = read("label-studio", FILES / "label_studio.json")
    assert bad == {}
    assert set(entries) == {"street view.jpg", "gate/day/2.png"}
    assert shown(entries["street view.jpg"]) == (
        ("sunny", "dry"),
        (box("car", 0.1, 0.2, 0.3, 0.4), box("van", 0.5, 0.5, 0.5, 0.5)),
    )
    assert entries["gate/day/2.png"].labels == ("rain",)
    assert entries["gate/day/2.png"].where == "label_studio.json, [1]"


def test_a_turned_rectangle_is_turned_in_pixels(tmp_path: Path) -> None:
    """40 by 20 pixels at (100, 20), turned by a quarter about that corner: x 80-100, y 20-60."""
    changes: dict[str, Any] = {"x": 50, "y": 20, "width": 20, "height": 20, "rotation": 90}
    entries, _ = read("label-studio", written(tmp_path, rectangle(**changes)))
    (found,) = entries["gate/1.png"].boxes
    assert found.model_dump() == pytest.approx(box("car", 0.4, 0.2, 0.1, 0.4).model_dump())


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (rectangle(x="?"), "result[0]: x is no number: '?'."),
        (rectangle(width=95), "result[0]: A box of 'car' reaches beyond the picture"),
        (rectangle({}, rotation=5), "result[0]: The rectangle is turned, and the size"),
        ({"type": "brushlabels", "value": {"brushlabels": ["car"]}}, "brushlabels are not read"),
        ({"type": "polygonlabels", "value": {"polygonlabels": ["car"]}}, "A shape has no points."),
        (
            {"type": "polygonlabels", "value": {"polygonlabels": ["car"], "points": [[1]]}},
            "points are no pairs of numbers.",
        ),
    ],
)
def test_a_picture_with_a_bad_result_is_not_taken_in_part(
    tmp_path: Path, result: dict[str, Any], said: str
) -> None:
    entries, bad = read("label-studio", written(tmp_path, result))
    assert entries == {}
    assert said in bad["t.json, [0]"]


@pytest.mark.parametrize("data", [{}, [], {"text": "a sentence"}, {"video": "1.mp4"}])
def test_a_task_without_a_picture_is_told(tmp_path: Path, data: object) -> None:
    _, bad = read("label-studio", written(tmp_path, rectangle(), data))
    assert bad == {"t.json, [0]": "Its data name no picture."}


@pytest.mark.parametrize("text", ["{}", "[1]"])
def test_a_file_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "t.json").write_text(text)
    with pytest.raises(InvalidRequestError, match="is no list of tasks"):
        read("label-studio", tmp_path / "t.json")
