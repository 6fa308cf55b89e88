"""The smoke test: a live server must answer the golden images as the exported model does.

The golden images and the answers to them lie in the version's own signed folder, so that a rollback
depends on no snapshot.
"""

import base64
import json
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass

from visionops_assets.contracts.models import FIRST_TASK
from visionops_assets.errors import ReleaseError
from visionops_assets.releasing.golden import GoldenSet
from visionops_assets.resources.triton import TritonServer
from visionops_assets.tasks.base import Answer
from visionops_assets.tasks.registry import serving

GOLDEN_FILE = "golden.json"
ANSWER_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class SmokeTest:
    """The answers of live servers to the golden images. All are right."""

    images: int
    median_latency_ms: float
    slowest_latency_ms: float

    @classmethod
    def of(cls, latencies_ms: list[float]) -> "SmokeTest":
        """Sum up the latency of each answer."""
        return cls(len(latencies_ms), statistics.median(latencies_ms), max(latencies_ms))


def write_golden(golden: GoldenSet) -> bytes:
    """Return the content of `GOLDEN_FILE`."""
    images = [base64.b64encode(image).decode() for image in golden.images]
    labels = [answer.labels for answer in golden.answers]
    return json.dumps({"images": images, "answers": labels, "task": golden.task}).encode()


def read_golden(files: Mapping[str, bytes]) -> GoldenSet:
    """Return the golden set of a version folder, whose files were verified.

    Folders of earlier versions have one label per image, and name no task.
    """
    found = json.loads(files[GOLDEN_FILE])
    images = tuple(base64.b64decode(image) for image in found["images"])
    labels = found["answers"] if "answers" in found else [[name] for name in found["labels"]]
    answers = tuple(Answer(tuple(names)) for names in labels)
    return GoldenSet(images, answers, found.get("task", FIRST_TASK))


def smoke_test(server: TritonServer, model: str, version: int, golden: GoldenSet) -> list[float]:
    """Predict each golden image, unrecorded, and return the latencies in ms.

    Raises:
        ReleaseError: another version answered, or an answer differs.
    """
    latencies_ms = []
    task = serving(golden.task)
    for image, expected in zip(golden.images, golden.answers, strict=True):
        started_s = time.perf_counter()
        [served] = server.predict(model, [image], ANSWER_TIMEOUT_S, record=False, task=golden.task)
        latencies_ms.append((time.perf_counter() - started_s) * 1000)
        if served.model_version != version:
            raise ReleaseError(f"Version {served.model_version} answered for {version}.")
        if not task.agrees(served.answer, expected):
            raise ReleaseError(
                f"Served, it calls a golden image {served.label!r}; exported, {expected.label!r}."
            )
    return latencies_ms
