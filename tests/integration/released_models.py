"""Models to release: exports of fresh weights, verdicts, load on the doors they are served by."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import func, select

from tests.declared import use
from tests.resources.earlier_snapshots import EARLIER_COLUMNS, write_with_images
from tests.stacks import QUIET_MODEL
from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.releases import add_verdict, champion, newest_events
from visionops_assets.catalog.schema import Release, ReleaseEvent
from visionops_assets.contracts import (
    Artifact,
    ArtifactReport,
    ExportedModel,
    GateVerdict,
    ModelCard,
    ParityBound,
    PreprocessingSpec,
)
from visionops_assets.releasing.audit import Order
from visionops_assets.releasing.controller import Controller
from visionops_assets.releasing.convergence import converge
from visionops_assets.releasing.exports import EXPORT_FILE, export_prefix
from visionops_assets.releasing.loading import CARD_FILE
from visionops_assets.releasing.manifest import sha256_by_file, write_folder
from visionops_assets.releasing.release import ReleaseOutcome, Releaser
from visionops_assets.releasing.rollouts import Rollouts
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.resources.triton import TritonServer
from visionops_assets.resources.triton_answers import ServedAnswer
from visionops_assets.settings import Settings, load_settings
from visionops_assets.vision.preprocessing import encode_frame

SIZE_PX = 16
CARD = ModelCard(
    architecture="resnet-tiny",
    classes=("a", "b", 'quoted "c"'),
    embedding_size=96,
    spec=PreprocessingSpec(size_px=SIZE_PX),
    mean=(0.5, 0.5, 0.5),
    std=(0.25, 0.25, 0.25),
    snapshot_id="snapshot-serving",
    seed=0,
)
IMAGES = np.random.default_rng(0).integers(0, 256, (8, SIZE_PX, SIZE_PX, 3), dtype=np.uint8)
IMAGE = encode_frame(IMAGES[0])
ORDER = Order("tester", "a test")
PAUSE_S = 0.05
"""Between the requests of a thread: the cores are for what goes on meanwhile."""


@cache
def network(version: int) -> bytes:
    """Export random weights, the same for a version. It takes seconds, so each is made once."""
    import torch  # noqa: PLC0415 - slow to import

    from visionops_assets.tasks.running import export  # noqa: PLC0415
    from visionops_assets.vision.architectures import build  # noqa: PLC0415

    torch.manual_seed(version)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        export(build("resnet-tiny", len(CARD.classes)), CARD, path)
        return path.read_bytes()


class Serving:
    """One model and all that may be done with it. Versions have different random weights."""

    def __init__(self, settings: Settings, model: str | None = None) -> None:
        self.model = model or f"serving-{uuid4().hex[:8]}"
        self.settings = settings
        self.catalog, self.store, self.triton = Catalog(), ObjectStore(), TritonServer()
        self.controller = Controller.of(self.catalog, self.store, self.triton)
        self.releaser = Releaser(self.controller)
        self.rollouts = Rollouts(self.controller)
        self._write_snapshot()

    def _write_snapshot(self) -> None:
        rows = [[str(uuid4()), str(uuid4()), f"g{i}", "a", 0, "holdout"] for i in range(8)]
        members = pd.DataFrame(rows, columns=EARLIER_COLUMNS)
        write_with_images(self.store, CARD.snapshot_id, IMAGES, members)

    def export(self, version: int, onnx_model: bytes | None = None) -> None:
        """Store an export of random weights that differ by version, or of the given bytes."""
        files = {
            "model.onnx": onnx_model or network(version),
            CARD_FILE: CARD.model_dump_json().encode(),
        }
        report = ArtifactReport(
            artifact=Artifact.ONNX_FP32,
            file="model.onnx",
            images=len(IMAGES),
            label_agreement=1,
            max_probability_error=0,
            accuracy=1,
            reference_accuracy=1,
            latency_ms=1,
            bound=ParityBound(),
        )
        exported = ExportedModel(
            model_name=self.model,
            model_version=version,
            snapshot_id=CARD.snapshot_id,
            object_prefix=export_prefix(self.model, version),
            sha256_by_file=sha256_by_file(files),
            artifacts=(report,),
        )
        files[EXPORT_FILE] = exported.model_dump_json().encode()
        write_folder(self.store, exported.object_prefix, files)

    def judge(self, version: int, *, passed: bool = True) -> None:
        """Let the gate say something about a version against today's champion."""
        with self.catalog.begin() as session:
            current = champion(session, self.model)
            verdict = GateVerdict(
                model_name=self.model,
                model_version=version,
                champion_version=current.model_version if current else None,
                snapshot_id=CARD.snapshot_id,
                holdout_size=8,
                accuracy=1,
                accuracy_low=1,
                accuracy_high=1,
                champion_accuracy=None,
                passed=passed,
                reason="A test.",
            )
            add_verdict(session, verdict, "test")

    def offer(self, *versions: int) -> None:
        """Export versions, and let each pass the gate."""
        for version in versions:
            self.export(version)
            self.judge(version)

    def release(self, version: int) -> ReleaseOutcome:
        """Export a version, let it pass the gate, and promote it."""
        self.offer(version)
        return self.releaser.promote(self.model, version, ORDER)

    def converge(self) -> str:
        """Do what the sensor does every ten seconds."""
        return converge(self.controller, self.model)

    def predict(self, *images: bytes) -> list[ServedAnswer]:
        """Ask by gRPC."""
        return self.triton.predict(self.model, images, task="classification")

    def champion(self) -> int | None:
        """Version that the catalog names."""
        with self.catalog.begin() as session:
            current = champion(session, self.model)
        return current.model_version if current else None

    def served(self) -> list[int | None]:
        """Version that each Triton server serves."""
        return [server.served_version(self.model) for server in self.triton.replicas()]

    def loaded(self, suffix: str) -> list[int | None]:
        """Version that each Triton server has under the model's name with a suffix."""
        return [server.served_version(self.model + suffix) for server in self.triton.replicas()]

    def releases(self) -> int:
        """How often the champion changed."""
        with self.catalog.begin() as session:
            query = select(func.count()).where(Release.model_name == self.model)
            return session.scalar(query) or 0

    def audit(self) -> list[ReleaseEvent]:
        """The audit, oldest first."""
        with self.catalog.begin() as session:
            return list(newest_events(session, self.model, 1_000))[::-1]

    def actions(self) -> list[str]:
        """What the audit says was done, with the version, oldest first."""
        return [f"{event.action} {event.model_version}" for event in self.audit()]

    def unload(self) -> None:
        """Leave no trace of the model in any Triton server, or in what one keeps for it."""
        for server in self.triton.replicas():
            for name in (self.model, f"{self.model}-candidate", f"{self.model}-rehearsal"):
                server.unload(name)
        self.controller.publisher(self.model).repository.forget_asked(())


@contextmanager
def decided_model(settings: Settings) -> Iterator[Serving]:
    """Give a model of its own with champion 1; the settings name it, so decisions are about it."""
    serving = Serving(settings)
    with pytest.MonkeyPatch.context() as patch:
        use(patch, settings.home / "models" / serving.model, serving.model, **QUIET_MODEL)
        serving.release(1)
        yield serving
        serving.unload()
    load_settings.cache_clear()


Probabilities = tuple[float, ...]


@dataclass
class Load:
    """What requests without a pause saw: answers by version, errors, latencies, mixed answers.

    An answer is mixed if its probabilities are not those of the version that it names.
    """

    expected: dict[int, Probabilities] = field(default_factory=dict)
    versions: Counter[int] = field(default_factory=Counter)
    errors: list[Exception] = field(default_factory=list)
    mixed: int = 0
    latencies_ms: list[float] = field(default_factory=list)

    @property
    def requests(self) -> int:
        """How many were answered or failed."""
        return sum(self.versions.values()) + len(self.errors)

    def take(self, version: int, probabilities: Sequence[float]) -> None:
        """Count an answer."""
        self.versions[version] += 1
        expected = self.expected.get(version)
        if expected is not None:
            self.mixed += not np.allclose(expected, probabilities, atol=1e-5)


Ask = Callable[[], tuple[int, Sequence[float]]]


@contextmanager
def steady_load(*doors: Ask, expected: dict[int, Probabilities] | None = None) -> Iterator[Load]:
    """Ask at each door from a thread of its own: once before the block, and until it ends."""
    load = Load(expected or {})
    counting = threading.Lock()
    asked = threading.Barrier(len(doors) + 1)
    stopping = threading.Event()

    def knock(ask: Ask) -> None:
        ask_once(ask)
        asked.wait()
        while not stopping.wait(PAUSE_S):
            ask_once(ask)

    def ask_once(ask: Ask) -> None:
        started_s = time.perf_counter()
        try:
            version, probabilities = ask()
        except Exception as error:
            with counting:
                load.errors.append(error)
            return
        with counting:
            load.latencies_ms.append((time.perf_counter() - started_s) * 1000)
            load.take(version, probabilities)

    threads = [threading.Thread(target=knock, args=(ask,)) for ask in doors]
    for thread in threads:
        thread.start()
    asked.wait()
    try:
        yield load
    finally:
        stopping.set()
        for thread in threads:
            thread.join()


def over_grpc(serving: Serving, server: TritonServer | None = None) -> Ask:
    """Ask a Triton server, the first by default."""
    asked = server or serving.triton

    def ask() -> tuple[int, Sequence[float]]:
        (answer,) = asked.predict(serving.model, [IMAGE], record=False, task="classification")
        return answer.model_version, answer.probabilities

    return ask
