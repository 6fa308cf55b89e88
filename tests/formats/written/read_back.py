"""Reads exports of ours by the libraries of the tools. Run by hand, in the way of `write.py`.

    .venv/bin/python -m tests.formats.written.read_back write NEW_FOLDER
    tools/bin/python tests/formats/written/read_back.py read THAT_FOLDER

The first writes one dataset in each format, the second reads it by Datumaro, by Label Studio's SDK
and by Supervision, and prints the boxes that each found. It fails where one is not as it was.
"""

import json
import sys
from pathlib import Path
from typing import Any

BOXES: dict[str, list[tuple[str, Any]]] = {
    "day/1.png": [("car", (8, 6, 24, 18)), ("van", (32, 24, 63.5, 47.5))],
    "two words.png": [("Fußgänger & co", (0, 0, 10.25, 48))],
}
WIDTH, HEIGHT = 64, 48


def write(to: Path) -> None:
    from visionops_assets.formats.records import Entry
    from visionops_assets.formats.registry import format_named
    from visionops_assets.formats.shares import box_of_px

    size = (WIDTH, HEIGHT)
    entries = [
        Entry("", name, boxes=tuple(box_of_px(*each, size) for each in found), size_px=size)
        for name, found in BOXES.items()
    ]
    for name in ("coco", "yolo", "voc", "cvat", "label-studio"):
        format_named(name).write(to / name, entries)


def read(of: Path) -> None:
    import cv2
    import numpy as np

    for name in BOXES:
        (of / "yolo" / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(of / "yolo" / "images" / name), np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    for tool, found in (by_datumaro(of) | by_label_studio(of) | by_supervision(of)).items():
        for name, boxes in BOXES.items():
            [title] = [each for each in found if Path(each).stem == Path(name).stem]
            told = sorted(found[title])
            assert [label for label, _ in told] == sorted(label for label, _ in boxes), (tool, told)
            for (_, corners), (_, expected) in zip(told, sorted(boxes), strict=True):
                assert np.allclose(corners, expected, atol=0.01), (tool, name, corners)
        print(f"{tool}: {sum(map(len, found.values()))} boxes, as they were")


def by_datumaro(of: Path) -> dict[str, Any]:
    import datumaro as dm

    # Datumaro wants a folder of its own layout for COCO and VOC.
    layouts = {"coco": "annotations/instances_default.json", "cvat": "default.xml"}
    for name, place in layouts.items():
        target = of / f"{name}-folder" / place
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((of / name).read_bytes())
        (of / f"{name}-folder" / "images").mkdir(exist_ok=True)
    sets = {
        "datumaro, coco": dm.Dataset.import_from(str(of / "coco-folder"), "coco_instances"),
        "datumaro, cvat": dm.Dataset.import_from(str(of / "cvat-folder"), "cvat"),
        "datumaro, yolo": dm.Dataset.import_from(str(of / "yolo"), "yolo_ultralytics"),
    }
    return {
        tool: {
            item.id: [
                (dataset.categories()[dm.AnnotationType.label][each.label].name, each.points)
                for each in item.annotations
            ]
            for item in dataset
        }
        for tool, dataset in sets.items()
    }


def by_label_studio(of: Path) -> dict[str, Any]:
    from label_studio_sdk.label_interface import LabelInterface

    names = "".join(f'<Label value="{name}"/>' for name in ("car", "van", "Fußgänger &amp; co"))
    interface = LabelInterface(
        f'<View><Image name="image" value="$image"/><RectangleLabels name="label" toName="image">'
        f"{names}</RectangleLabels></View>"
    )
    found: dict[str, Any] = {}
    for task in json.loads((of / "label-studio").read_text()):
        for annotation in task["annotations"]:
            assert interface.validate_annotation(annotation), task
            found[task["data"]["image"]] = [
                (each["value"]["rectanglelabels"][0], _corners_px(each["value"]))
                for each in annotation["result"]
            ]
    return {"label studio": found}


def _corners_px(value: dict[str, float]) -> tuple[float, ...]:
    x, y, width, height = (value[name] / 100 for name in ("x", "y", "width", "height"))
    return x * WIDTH, y * HEIGHT, (x + width) * WIDTH, (y + height) * HEIGHT


def by_supervision(of: Path) -> dict[str, Any]:
    import supervision as sv

    images = str(of / "yolo" / "images")
    sets = {
        "supervision, coco": sv.DetectionDataset.from_coco(images, str(of / "coco")),
        "supervision, voc": sv.DetectionDataset.from_pascal_voc(images, str(of / "voc")),
    }
    return {
        tool: {
            name: [
                (dataset.classes[class_id], corners)
                for corners, class_id in zip(found.xyxy, found.class_id, strict=True)
            ]
            for name, found in dataset.annotations.items()
        }
        for tool, dataset in sets.items()
    }


if __name__ == "__main__":
    {"write": write, "read": read}[sys.argv[1]](Path(sys.argv[2]))
