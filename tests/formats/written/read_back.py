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
    "1.png": [("car", (8, 6, 24, 18)), ("van", (32, 24, 63.5, 47.5))],
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

    # Datumaro reads no COCO and no CVAT without the pictures.
    for folder in ("yolo", "coco-folder", "cvat-folder"):
        (of / folder / "images").mkdir(parents=True, exist_ok=True)
        for name in BOXES:
            picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
            cv2.imwrite(str(of / folder / "images" / name), picture)
    failed = False
    for tool, found in (by_datumaro(of) | by_label_studio(of) | by_supervision(of)).items():
        # Supervision counts the pixels of VOC from 1, and looks into no folder.
        within_px = 1.01 if tool == "supervision, voc" else 0.01
        wrong = []
        for name, boxes in BOXES.items():
            told = [
                each for title, each in found.items() if Path(title).stem == Path(name).stem
            ] or [[]]
            pairs = zip(sorted(told[0], key=_label), sorted(boxes, key=_label), strict=False)
            if len(told[0]) != len(boxes) or not all(
                one[0] == other[0] and np.allclose(one[1], other[1], atol=within_px)
                for one, other in pairs
            ):
                wrong.append((name, told))
        failed |= bool(wrong)
        print(f"{tool}: {wrong or 'all boxes are as they were'}")
    sys.exit(failed)


def _label(each: tuple[str, Any]) -> str:
    return each[0]


def by_datumaro(of: Path) -> dict[str, Any]:
    import datumaro as dm

    # Datumaro wants a folder of its own layout for COCO and VOC.
    layouts = {"coco": "annotations/instances_default.json", "cvat": "default.xml"}
    for name, place in layouts.items():
        target = of / f"{name}-folder" / place
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((of / name).read_bytes())
    sets = {
        "datumaro, coco": dm.Dataset.import_from(str(of / "coco-folder"), "coco_instances"),
        "datumaro, cvat": dm.Dataset.import_from(str(of / "cvat-folder"), "cvat"),
        "datumaro, yolo": dm.Dataset.import_from(str(of / "yolo"), "yolo"),
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
