"""Writes the files beside it, by the libraries of the tools themselves. Run by hand.

    python3.11 -m venv tools
    tools/bin/pip install datumaro==1.13.12 label-studio-sdk==2.1.2 supervision==0.31.2
    tools/bin/python tests/formats/written/write.py NEW_FOLDER

These libraries bring a second OpenCV and other versions than those of the lock, so they have an
environment of their own. Datumaro (MIT), Label Studio's SDK (Apache-2.0) and Supervision (MIT)
write all files but the pictures, which are not kept. `read_back.py` reads our exports by them.
"""

import json
import sys
from pathlib import Path
from typing import Any

import datumaro as dm
import numpy as np
import supervision as sv
from label_studio_sdk.converter import Converter
from label_studio_sdk.converter.imports.coco import convert_coco_to_ls
from label_studio_sdk.label_interface import LabelInterface
from label_studio_sdk.label_interface.objects import AnnotationValue

LABELS = ["car", "van", "Fußgänger & co"]
SIZE = (64, 48)
BOXES: dict[str, list[tuple[int, tuple[float, ...]]]] = {
    "day/1": [(0, (8, 6, 16, 12)), (1, (32, 24, 31.5, 23.5))],
    "day/two words": [(2, (0, 0, 10.25, 48))],
    "night": [(0, (63, 47, 1, 1))],
    "empty": [],
}
CONFIG = """<View><Image name="image" value="$image"/>
<RectangleLabels name="label_rectangles" toName="image"><Label value="car"/><Label value="van"/>
<Label value="Fußgänger &amp; co"/></RectangleLabels>
<Choices name="choice" toName="image"><Choice value="car"/><Choice value="van"/></Choices></View>"""


def picture() -> Any:
    return np.full((SIZE[1], SIZE[0], 3), 127, np.uint8)


def media() -> Any:
    return dm.Image.from_numpy(data=picture(), ext=".png")


def boxes() -> Any:
    """Return pictures with boxes, in two subsets."""
    items = [
        dm.DatasetItem(
            name,
            subset="val" if name == "night" else "train",
            media=media(),
            annotations=[
                dm.Bbox(*corners, label=label, id=number, group=number)
                for number, (label, corners) in enumerate(found, 1)
            ],
        )
        for name, found in BOXES.items()
    ]
    return dm.Dataset.from_iterable(items, categories=LABELS, media_type=dm.Image)


def whole() -> Any:
    """Return pictures with labels of all of them, and with an outline."""
    outline = dm.Polygon([8, 6, 24, 6, 24, 18], label=1, id=2, group=2)
    items = [
        dm.DatasetItem("day/1", media=media(), annotations=[dm.Label(0, id=1), outline]),
        dm.DatasetItem("night", media=media(), annotations=[dm.Label(2, id=3)]),
    ]
    return dm.Dataset.from_iterable(items, categories=LABELS, media_type=dm.Image)


def video() -> Any:
    """Return four frames of a video with two tracks; one leaves before the last frame."""

    def shape(track: int, label: int, frame: int, left: float, **more: object) -> Any:
        said = {"track_id": track, "frame": frame, "keyframe": True, "occluded": False}
        return dm.Bbox(left, 6, 16, 12, label=label, attributes={**said, "outside": False, **more})

    items = []
    for frame in range(4):
        shapes = [shape(0, 0, frame, 8.0 * frame)]
        if frame:
            shapes.append(shape(1, 1, frame, 16.0, outside=frame == 3))
        named = f"frame_{frame:06d}"
        items.append(
            dm.DatasetItem(named, media=media(), annotations=shapes, attributes={"frame": frame})
        )
    return dm.Dataset.from_iterable(items, categories=LABELS, media_type=dm.Image)


def detections() -> Any:
    annotations = {
        f"{name}.png": sv.Detections(
            xyxy=np.array([(x, y, x + w, y + h) for _, (x, y, w, h) in found], float),
            class_id=np.array([label for label, _ in found]),
        )
        if found
        else sv.Detections.empty()
        for name, found in BOXES.items()
        if "/" not in name
    }
    return sv.DetectionDataset(LABELS, {name: picture() for name in annotations}, annotations)


def write(to: Path) -> None:
    boxes().export(str(to / "datumaro-coco"), "coco_instances")
    boxes().export(str(to / "datumaro-yolo"), "yolo_ultralytics")
    boxes().export(str(to / "datumaro-voc"), "voc_detection")
    boxes().export(str(to / "datumaro-cvat"), "cvat")
    whole().export(str(to / "datumaro-coco-labels"), "coco")
    whole().export(str(to / "datumaro-cvat-tags"), "cvat")
    video().export(str(to / "datumaro-cvat-video"), "cvat", use_track=True)
    found = detections()
    found.as_coco(annotations_path=str(to / "supervision-coco.json"))
    found.as_yolo(
        annotations_directory_path=str(to / "supervision-yolo" / "labels"),
        data_yaml_path=str(to / "supervision-yolo" / "data.yaml"),
    )
    found.as_pascal_voc(annotations_directory_path=str(to / "supervision-voc"))
    tasks = to / "label-studio.json"
    tasks.write_text(json.dumps(label_studio_tasks(to)), encoding="utf-8")
    converter = Converter(CONFIG, str(to), download_resources=False)
    for form in ("COCO", "YOLO", "VOC"):
        converter.convert(str(tasks), str(to / f"label-studio-{form.lower()}"), form, is_dir=False)


def label_studio_tasks(to: Path) -> list[dict[str, Any]]:
    """Return tasks with the ids that Label Studio gives: boxes, a turned one, and a choice."""
    tasks = to / "tasks.json"
    convert_coco_to_ls(
        str(to / "datumaro-coco" / "annotations" / "instances_train.json"),
        str(tasks),
        to_name="image",
        from_name="label",
        out_type="annotations",
        image_root_url="/data/local-files/?d=pictures",
    )
    found: list[dict[str, Any]] = json.loads(tasks.read_text())
    for each in to.glob("tasks*"):
        each.unlink()
    interface = LabelInterface(CONFIG)
    turned = {"x": 50, "y": 50, "width": 25, "height": 25, "rotation": 90, "label": ["van"]}
    regions = interface.create_regions({"label_rectangles": turned, "choice": "car"})
    said = AnnotationValue(completed_by=1, result=regions).model_dump()
    for region in said["result"]:
        region |= {"original_width": SIZE[0], "original_height": SIZE[1], "image_rotation": 0}
    task = {"data": {"image": "/data/upload/1/0a1b2c3d-turned.png"}, "annotations": [said]}
    return [{"id": number, **each} for number, each in enumerate([*found, task], 1)]


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True)
    write(folder)
    not_read = ("*.png", "stuff_default.json", "image_info_default.json", "notes.json")
    for each in [found for name in not_read for found in folder.rglob(name)]:
        each.unlink()
