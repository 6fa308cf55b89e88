"""Releases while pods die, and what the releaser does every few seconds."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper

from tests.declared import model_of
from tests.integration.released_models import CARD, IMAGE, IMAGES, ORDER, Probabilities, Serving
from visionops_assets.errors import VisionOpsError
from visionops_assets.resources.triton import TritonServer
from visionops_assets.settings import Settings
from visionops_assets.vision.preprocessing import to_network_input

VERSIONS = (1, 2)
PATIENCE_S = 120.0
AGAIN_AFTER_S = 1.0


def small_network(version: int) -> bytes:
    """Make a network of random weights, by version; by hand, since PyTorch takes long."""
    rng = np.random.default_rng(version)
    weights = {
        "to_embedding": rng.normal(size=(3, CARD.embedding_size)),
        "to_logits": rng.normal(size=(CARD.embedding_size, len(CARD.classes))) / 4,
    }
    nodes = [
        helper.make_node("GlobalAveragePool", ["images"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["colours"]),
        helper.make_node("MatMul", ["colours", "to_embedding"], ["embedding"]),
        helper.make_node("MatMul", ["embedding", "to_logits"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"]),
    ]
    side_px = CARD.spec.size_px
    outputs = {"probabilities": len(CARD.classes), "embedding": CARD.embedding_size}
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", 3, side_px, side_px])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", width])
            for name, width in outputs.items()
        ],
        [
            onnx.numpy_helper.from_array(values.astype(np.float32), name)
            for name, values in weights.items()
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    serialized: bytes = model.SerializeToString()
    return serialized


def expected_probabilities(version: int) -> Probabilities:
    """Return what a version answers for `IMAGE`, by its network itself."""
    session = ort.InferenceSession(small_network(version), providers=["CPUExecutionProvider"])
    inputs = {"images": to_network_input(IMAGES[:1], CARD)}
    return tuple(np.asarray(session.run(["probabilities"], inputs)[0])[0].tolist())


class Releasing:
    """One model with two versions, which become champion in turn."""

    def __init__(self, settings: Settings) -> None:
        self.serving = Serving(settings, model_of(settings).name)
        for version in VERSIONS:
            self.serving.export(version, small_network(version))
        self.releases = 0
        self.refused: list[str] = []
        self.converged: list[str] = []

    def release(self) -> float:
        """Promote the version that is not champion, again until it goes through; return seconds.

        Raises:
            TimeoutError: it did not within `PATIENCE_S`.
        """
        champion = self.serving.champion()
        target = next(version for version in VERSIONS if version != champion)

        def promote() -> None:
            self.serving.judge(target)
            self.serving.releaser.promote(self.serving.model, target, ORDER)

        return self._insist(promote)

    def roll_back(self) -> float:
        """Go back to the version before, again until it goes through; return seconds.

        Raises:
            TimeoutError: it did not within `PATIENCE_S`.
        """
        return self._insist(lambda: self.serving.releaser.roll_back(self.serving.model, ORDER))

    def _insist(self, change: Callable[[], object]) -> float:
        started_at_s = time.monotonic()
        while time.monotonic() < started_at_s + PATIENCE_S:
            try:
                change()
            except VisionOpsError as error:
                self.refused.append(str(error))
                time.sleep(AGAIN_AFTER_S)
            else:
                self.releases += 1
                return time.monotonic() - started_at_s
        raise TimeoutError(f"Nothing could be released: {self.refused[-3:]}")

    @contextmanager
    def converging(self, every_s: float) -> Iterator[None]:
        """Do what the sensor does, for the length of the block."""
        stopping = threading.Event()

        def run() -> None:
            while not stopping.wait(every_s):
                try:
                    said = self.serving.converge()
                except VisionOpsError as error:
                    said = str(error)
                self.converged.append(said)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield
        finally:
            stopping.set()
            thread.join()

    def answers(self, addresses: list[str]) -> list[tuple[int, Probabilities] | None]:
        """Ask each Triton by itself: its version, and what it says of `IMAGE`; None if nothing."""
        return [self._answer_of(TritonServer(address=address)) for address in addresses]

    def _answer_of(self, server: TritonServer) -> tuple[int, Probabilities] | None:
        try:
            (answer,) = server.predict(
                self.serving.model, [IMAGE], record=False, task="classification"
            )
        except VisionOpsError:
            return None
        return answer.model_version, answer.probabilities
