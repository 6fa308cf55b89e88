"""What people say, read strictly, by each task."""

import subprocess
import sys

import pytest

from visionops_assets.errors import InvalidRequestError
from visionops_assets.tasks.annotations import Annotating
from visionops_assets.tasks.registry import TASKS, annotating

ONE, SEVERAL = annotating("classification"), annotating("multilabel")


@pytest.mark.parametrize(
    ("task", "payload", "labels", "text"),
    [
        (ONE, {"label": "car"}, ("car",), "car"),
        (ONE, {"label": " car, red "}, ("car, red",), "car, red"),
        (ONE, {"label": "e\N{COMBINING ACUTE ACCENT}"}, ("é",), "é"),
        (SEVERAL, {"labels": ["van", "car"]}, ("car", "van"), "car, van"),
        (SEVERAL, {"labels": []}, (), ""),
    ],
)
def test_an_annotation_is_read_and_written_again(
    task: Annotating, payload: object, labels: tuple[str, ...], text: str
) -> None:
    found = task.parse(payload)
    assert (found.labels, found.text) == (labels, text)
    assert task.parse(task.payload(found)) == found == task.read(text)
    assert task.labels(text) == labels
    assert task.recall({**task.payload(found), "newer": 1}) == found


def test_a_text_of_several_labels_may_have_spaces_between_them() -> None:
    assert SEVERAL.read("van ,car").labels == ("car", "van")


@pytest.mark.parametrize(
    ("task", "payload", "said"),
    [
        (ONE, ["car"], "An annotation is a JSON object."),
        (ONE, None, "An annotation is a JSON object."),
        (ONE, {}, "label: Field required"),
        (ONE, {"label": 3}, "label: Input should be a valid string"),
        (ONE, {"label": " "}, "label: String should have at least 1 character"),
        (ONE, {"label": "a\x00"}, "label: must not contain NUL"),
        (ONE, {"labels": ["car"]}, "labels: Extra inputs are not permitted"),
        (SEVERAL, {"label": "car"}, "labels: Field required"),
        (SEVERAL, {"labels": "car"}, "labels: Input should be a valid list"),
        (SEVERAL, {"labels": ["car", 3]}, "labels.1: Input should be a valid string"),
        (SEVERAL, {"labels": ["car", "car "]}, "labels: must not name one label twice"),
        (SEVERAL, {"labels": ["a, b"]}, "labels.0: must not contain a comma"),
        (SEVERAL, {"labels": [str(i) for i in range(101)]}, "labels: List should have at most 100"),
    ],
)
def test_a_wrong_annotation_is_refused_by_field_and_reason(
    task: Annotating, payload: object, said: str
) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        task.parse(payload)
    assert said in str(refused.value)


def test_services_read_annotations_without_numpy() -> None:
    code = (
        "import sys; from visionops_assets.tasks.registry import annotating;"
        f"[annotating(task) for task in {TASKS}]; print('numpy' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert found.stdout.strip() == "False"
