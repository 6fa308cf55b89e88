"""The smoke test: a live server must answer the golden images as the exported model does.

The golden images and their labels lie in the version's own signed folder, so that a rollback
depends on no snapshot.
"""

import base64
import json
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass

from visionops_assets.errors import ReleaseError
from visionops_assets.releasing.golden import GoldenSet
from visionops_assets.resources.triton import TritonServer

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
    return json.dumps({"images": images, "labels": golden.labels}).encode()


def read_golden(files: Mapping[str, bytes]) -> GoldenSet:
    """Return the golden set of a version folder, whose files were verified."""
    found = json.loads(files[GOLDEN_FILE])
    images = tuple(base64.b64decode(image) for image in found["images"])
    return GoldenSet(images=images, labels=tuple(found["labels"]))


def smoke_test(server: TritonServer, model: str, version: int, golden: GoldenSet) -> list[float]:
    """Predict each golden image, unrecorded, and return the latencies in ms.

    Raises:
        ReleaseError: another version answered, or a label differs.
    """
    latencies_ms = []
    for image, expected in zip(golden.images, golden.labels, strict=True):
        started_s = time.perf_counter()
        answer = server.predict(model, [image], ANSWER_TIMEOUT_S, record=False)[0]
        latencies_ms.append((time.perf_counter() - started_s) * 1000)
        if answer.model_version != version:
            raise ReleaseError(f"Version {answer.model_version} answered for {version}.")
        if answer.label != expected:
            raise ReleaseError(
                f"Served, it calls a golden image {answer.label!r}; exported, {expected!r}."
            )
    return latencies_ms
