"""Switches Triton from one version of a model to another, or leaves it as it was.

A new version is rehearsed first: loaded under another name and tested through the live server,
so that one which loads but answers wrongly never answers a client. Then the pinned version is
switched; Triton serves the old one until the new one is ready.
"""

import statistics
import time
from dataclasses import dataclass

from visionops_assets.errors import ReleaseError, VisionOpsError
from visionops_assets.resources.triton import TritonServer
from visionops_assets.stages.serving.golden import GoldenSet
from visionops_assets.stages.serving.repository import (
    CONFIG_FILE,
    Files,
    ModelRepository,
    config_as_json,
)

ANSWER_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class SmokeTest:
    """What the live server answered on the golden images, all of them rightly."""

    images: int
    median_latency_ms: float
    slowest_latency_ms: float


class Rollout:
    """Changes what Triton serves of one model."""

    def __init__(self, repository: ModelRepository, triton: TritonServer, model_name: str) -> None:
        self._repository = repository
        self._triton = triton
        self._model_name = model_name
        self._rehearsal_name = f"{model_name}-rehearsal"

    def switch(self, version: int, previous_version: int | None, golden: GoldenSet) -> SmokeTest:
        """Serve a published version in the place of another, if it passes its smoke tests.

        Raises:
            ReleaseError: it does not; `previous_version` serves as before.
        """
        files = self._repository.read(version)
        try:
            self._rehearse(version, files, golden)
        except ReleaseError as error:
            raise ReleaseError(
                f"{self._model_name} {version} failed its rehearsal, so what served before "
                f"serves on: {error}"
            ) from error
        try:
            self.serve(version)
            return self._smoke_test(self._model_name, version, golden)
        except BaseException as error:
            outcome = self._restore(previous_version)
            if not isinstance(error, Exception):
                raise
            raise ReleaseError(
                f"{self._model_name} {version} was not released: {error} {outcome}"
            ) from error

    def serve(self, version: int) -> None:
        """Pin a published version and load it; returns once it answers."""
        config = self._repository.read(version)[CONFIG_FILE]
        self._repository.pin(config)
        self._triton.load(self._model_name, config_as_json(config, self._model_name))

    def converge(self, version: int) -> bool:
        """Bring the server to a version, for instance after it restarted; say if it was not."""
        if self._triton.served_version(self._rehearsal_name) is not None:
            self._triton.unload(self._rehearsal_name)
        if self._triton.served_version(self._model_name) == version:
            return False
        self.serve(version)
        return True

    def _rehearse(self, version: int, files: Files, golden: GoldenSet) -> None:
        try:
            self._triton.load(
                self._rehearsal_name,
                config_as_json(files[CONFIG_FILE], self._rehearsal_name, instances=1),
                {f"{version}/{name}": data for name, data in files.items()},
            )
            self._smoke_test(self._rehearsal_name, version, golden)
        finally:
            self._triton.unload(self._rehearsal_name)

    def _restore(self, previous_version: int | None) -> str:
        """Go back to what was served, and say how that went."""
        try:
            if previous_version is None:
                self._repository.unpin()
                self._triton.unload(self._model_name)
                return "Nothing is served."
            self.serve(previous_version)
        except VisionOpsError as error:
            return f"Going back failed too, and is tried again every few seconds: {error}"
        return f"Version {previous_version} serves as before."

    def _smoke_test(self, model: str, version: int, golden: GoldenSet) -> SmokeTest:
        latencies_ms = []
        for image, expected in zip(golden.images, golden.labels, strict=True):
            started_s = time.perf_counter()
            answer = self._triton.predict(model, [image], ANSWER_TIMEOUT_S, record=False)[0]
            latencies_ms.append((time.perf_counter() - started_s) * 1000)
            if answer.model_version != version:
                raise ReleaseError(f"Version {answer.model_version} answered for {version}.")
            if answer.label != expected:
                raise ReleaseError(
                    f"Served, it calls a golden image {answer.label!r}; exported, {expected!r}."
                )
        return SmokeTest(len(latencies_ms), statistics.median(latencies_ms), max(latencies_ms))
