"""CVAT's XML, as CVAT dumps images and videos."""

from pathlib import Path

import pytest

from tests.formats.reading import FILES, box, read, shown
from visionops_assets.errors import InvalidRequestError
from visionops_assets.formats.records import Reading

VIDEO = (FILES / "cvat_video.xml").read_text()
BOX = '<box label="car" xtl="1" ytl="1" xbr="5" ybr="5"/>'


def of_image(shapes: str, attributes: str = 'name="1.jpg" width="10" height="10"') -> str:
    return f"<annotations><image {attributes}>{shapes}</image></annotations>"


def test_boxes_outlines_and_tags_of_images_are_read() -> None:
    entries, bad = read("cvat", FILES / "cvat_images.xml")
    assert bad == {}
    assert set(entries) == {"day/1.jpg", "day/3.jpg"}
    labels, boxes = shown(entries["day/1.jpg"])
    assert labels == ("sunny",)
    # 40 by 20 pixels, turned by a quarter about their middle (100, 50).
    expected = (box("car", 0.1, 0.1, 0.2, 0.5), box("van", 0.45, 0.3, 0.1, 0.4))
    assert [found.model_dump() for found in boxes] == [
        pytest.approx(each.model_dump()) for each in (*expected, box("car", 0.5, 0.5, 0.5, 0.5))
    ]
    assert shown(entries["day/3.jpg"]) == (("rain",), ())


def test_tracks_are_parts_of_their_video() -> None:
    """Task frames 0 and 1 are frames 10 and 15 of the video: at 10 per second, 1 s and 1.5 s."""
    entries, bad = read("cvat", FILES / "cvat_video.xml", Reading(fps=10))
    assert bad == {}
    assert set(entries) == {"night.mp4@1-1.1", "night.mp4@1.5-1.6"}
    assert shown(entries["night.mp4@1-1.1"]) == ((), (box("car", 0.1, 0.1, 0.1, 0.1),))
    second = entries["night.mp4@1.5-1.6"]
    assert [each.label for each in second.boxes] == ["car", "van"]
    assert second.boxes[1] == box("van", 0, 0, 0.5, 0.5)
    assert second.where == "cvat_video.xml, frame 1"


@pytest.mark.parametrize(
    ("text", "fps", "where", "said"),
    [
        (VIDEO, None, "tracks", "name its frames per second by --fps"),
        (
            VIDEO.replace("night.mp4", "").replace("gate at night", ""),
            10,
            "tracks",
            "does not say the source of its tracks",
        ),
        (VIDEO.replace("<width>640</width>", ""), 10, "track 1", "does not say the width"),
        (VIDEO.replace('frame="0"', 'frame="x"'), 10, "track 1", "frame is no number: 'x'."),
        (VIDEO.replace("polygon", "cuboid"), 10, "track 2", "A cuboid is not read"),
    ],
)
def test_a_video_with_a_bad_track_is_not_taken_in_part(
    tmp_path: Path, text: str, fps: float | None, where: str, said: str
) -> None:
    (tmp_path / "v.xml").write_text(text)
    entries, bad = read("cvat", tmp_path / "v.xml", Reading(fps=fps))
    assert entries == {}
    assert said in bad[f"v.xml, {where}"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (of_image(BOX, 'width="10" height="10"'), "The image has no name."),
        (of_image(BOX, 'name="1.jpg"'), "shape 1: The file does not say the width and height"),
        (of_image(f'{BOX}<mask label="car"/>'), "shape 2: A mask is not read"),
        (of_image(BOX.replace('"5"', '"50"')), "shape 1: A box of 'car' reaches beyond"),
        (of_image('<polygon label="car" points=""/>'), "shape 1: A shape has no points."),
        (of_image('<polygon label="car" points="1,2;3"/>'), "shape 1: points is no number: ''."),
    ],
)
def test_an_image_with_a_bad_shape_is_not_taken_in_part(
    tmp_path: Path, text: str, said: str
) -> None:
    (tmp_path / "i.xml").write_text(text)
    entries, bad = read("cvat", tmp_path / "i.xml")
    assert entries == {}
    assert said in bad["i.xml, image 1"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<annotation/>", "is no file of CVAT"),
        ("{}", "is no XML that can be read"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><annotations/>', "declares a type of document"),
    ],
)
def test_a_file_that_is_none_is_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "i.xml").write_text(text)
    with pytest.raises(InvalidRequestError, match=said):
        read("cvat", tmp_path / "i.xml")
