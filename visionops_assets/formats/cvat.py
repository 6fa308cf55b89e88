"""CVAT's XML 1.1: `image` elements with boxes, outlines and tags, or `track` elements of a video.

A turned box, and an outline, becomes the upright box around it. A track has a box per frame, so a
video becomes a part per frame, by its frames per second.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from visionops_assets.errors import InvalidRequestError
from visionops_assets.formats.files import MAX_JSON_BYTES, fresh, picture_in
from visionops_assets.formats.records import (
    BadRow,
    Entry,
    LeftOut,
    Reading,
    RowError,
    of_pictures,
    rows_of,
)
from visionops_assets.formats.shares import (
    box_of_px,
    corners_px,
    enclosing,
    number_of,
    size_of,
    turned,
)
from visionops_assets.formats.xml_files import read_xml, text_of
from visionops_assets.tasks.annotations import Box

CORNERS = ("xtl", "ytl", "xbr", "ybr")
OUTLINES = ("polygon", "polyline", "points")


def read(path: Path, reading: Reading) -> Iterator[Entry | BadRow]:
    """Read a file of images or of one video. See `Format`."""
    document = read_xml(path, MAX_JSON_BYTES)
    if document.tag != "annotations":
        raise InvalidRequestError(f"{path} is no file of CVAT: it has no annotations.")
    images = enumerate(document.findall("image"), 1)
    parts = ((f"{path.name}, image {number}", image) for number, image in images)
    yield from rows_of(parts, lambda where, image: _entry(where, image, reading))
    if document.find("track") is not None:
        yield from _video(path, document, reading)


def write(path: Path, entries: Iterable[Entry]) -> LeftOut:
    """Write a file of images. See `Format`."""
    left_out, document = LeftOut(), Element("annotations")
    SubElement(document, "version").text = "1.1"
    for number, entry in enumerate(of_pictures(entries, left_out, in_px=True)):
        _add(document, number, entry)
    document.insert(1, _meta(document))
    indent(document)
    content = tostring(document, encoding="utf-8", xml_declaration=True)
    with fresh(path).open("xb") as file:
        file.write(content)
    return left_out


def _meta(document: Element) -> Element:
    """Describe a task with the labels that its images name: Datumaro reads no file without it."""
    images = document.findall("image")
    named = {shape.get("label", ""): None for image in images for shape in image}
    meta = Element("meta")
    task = SubElement(meta, "task")
    for name, text in (("size", str(len(images))), ("mode", "annotation")):
        SubElement(task, name).text = text
    labels = SubElement(task, "labels")
    for label in named:
        described = SubElement(labels, "label")
        SubElement(described, "name").text = label
        SubElement(described, "attributes")
    return meta


def _entry(where: str, image: Element, reading: Reading) -> Entry | None:
    """Return what is said of a picture; None if that is nothing."""
    name = image.get("name")
    if not name:
        raise RowError("The image has no name.")
    size_px = size_of(image.get("width"), image.get("height"))
    labels = [each.get("label", "") for each in image.findall("tag")]
    boxes = tuple(_boxes(image, size_px))
    if not labels and not boxes:
        return None
    picture = picture_in(reading.images, name)
    found = tuple(dict.fromkeys(labels))
    return Entry(where, name, picture=picture, labels=found, boxes=boxes, size_px=size_px)


def _boxes(of: Element, size_px: tuple[int, int] | None) -> Iterator[Box]:
    for number, shape in enumerate(of, 1):
        try:
            if shape.tag != "tag":
                yield box_of_px(shape.get("label", ""), _corners(shape), size_px)
        except RowError as error:
            raise RowError(f"shape {number}: {error}") from None


def _corners(shape: Element) -> tuple[float, float, float, float]:
    """Return left, top, right and bottom, in pixels."""
    if shape.tag in OUTLINES:
        pairs = [pair.partition(",") for pair in shape.get("points", "").split(";") if pair]
        return enclosing((number_of(x, "points"), number_of(y, "points")) for x, _, y in pairs)
    if shape.tag != "box":
        raise RowError(f"A {shape.tag} is not read: only boxes and outlines are.")
    left, top, right, bottom = (number_of(shape.get(each), each) for each in CORNERS)
    degrees = number_of(shape.get("rotation", "0"), "rotation")
    if not degrees:
        return left, top, right, bottom
    middle = ((left + right) / 2, (top + bottom) / 2)
    return enclosing(turned((left, top, right, bottom), degrees, middle))


@dataclass(frozen=True)
class _Frames:
    """The frames of a task: the file's numbers count those that were kept of the video's."""

    name: str
    size_px: tuple[int, int] | None
    first: int
    step: int
    fps: float

    @classmethod
    def of(cls, document: Element, fps: float | None) -> "_Frames":
        task = document.find("meta/task")
        if task is None:
            task = document.find("meta/job")
        # Datumaro writes the name of the task alone.
        name = text_of(task, "source") or text_of(task, "name")
        if not name:
            raise RowError("The file does not say the source of its tracks.")
        if fps is None:
            raise RowError("It counts the frames of a video: name its frames per second by --fps.")
        size = None if task is None else task.find("original_size")
        size_px = size_of(text_of(size, "width"), text_of(size, "height"))
        kept = text_of(task, "frame_filter").rpartition("step=")[2]
        first = int(number_of(text_of(task, "start_frame") or "0", "start_frame"))
        return cls(name, size_px, first, max(1, int(number_of(kept or "1", "frame_filter"))), fps)

    def part(self, number: int) -> tuple[float, float]:
        """Return start and end of a frame, in seconds."""
        frame = self.first + number * self.step
        return frame / self.fps, (frame + 1) / self.fps


def _video(path: Path, document: Element, reading: Reading) -> Iterator[Entry | BadRow]:
    where = f"{path.name}, tracks"
    boxes: dict[int, list[Box]] = defaultdict(list)
    try:
        frames = _Frames.of(document, reading.fps)
        for number, track in enumerate(document.findall("track"), 1):
            where = f"{path.name}, track {number}"
            for frame, box in _of_track(track, frames.size_px):
                boxes[frame].append(box)
    except RowError as error:
        # A video without one of its tracks would be learned wrongly: none of them is taken.
        yield BadRow(where, str(error))
        return
    for frame, found in sorted(boxes.items()):
        start_s, end_s = frames.part(frame)
        yield Entry(
            f"{path.name}, frame {frame}",
            frames.name,
            start_s=start_s,
            end_s=end_s,
            boxes=tuple(found),
            size_px=frames.size_px,
        )


def _of_track(track: Element, size_px: tuple[int, int] | None) -> Iterator[tuple[int, Box]]:
    for shape in track:
        if shape.get("outside") != "1":
            frame = int(number_of(shape.get("frame"), "frame"))
            yield frame, box_of_px(track.get("label", ""), _corners(shape), size_px)


def _add(document: Element, number: int, entry: Entry) -> None:
    width, height = entry.size_px or (0, 0)
    said = {"id": str(number), "name": entry.title, "width": str(width), "height": str(height)}
    image = SubElement(document, "image", said)
    boxed: Sequence[str] = [box.label for box in entry.boxes]
    for box in entry.boxes:
        corners = zip(CORNERS, corners_px(box, (width, height)), strict=True)
        shape = {each: f"{value:.3f}" for each, value in corners}
        SubElement(image, "box", {"label": box.label, "occluded": "0", **shape, "z_order": "0"})
    for label in entry.labels:
        if label not in boxed:
            SubElement(image, "tag", {"label": label, "source": "manual"})
