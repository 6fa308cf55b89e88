"""The smoke test: each golden image is asked for once, unrecorded, and timed in milliseconds."""

import base64
import json
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.releasing.versions import golden
from visionops_assets.errors import ReleaseError
from visionops_assets.releasing import smoke
from visionops_assets.releasing.golden import GoldenSet
from visionops_assets.releasing.smoke import (
    SmokeTest,
    read_golden,
    smoke_test,
    write_golden,
)
from visionops_assets.resources.triton import TritonServer
from visionops_assets.tasks.base import Answer

GOLDEN = golden(one="1", two="2")


class Server:
    """A server that takes 20 ms for the first image and 5 ms for each other."""

    def __init__(self, version: int = 3, labels: Sequence[str] = ("1", "2")) -> None:
        self.version, self.labels = version, list(labels)
        self.now_s = 100.0
        self.asked: list[tuple[Any, ...]] = []

    def predict(
        self, model: str, images: list[bytes], timeout_s: float, *, record: bool, task: str
    ) -> Any:
        self.asked.append((model, images, timeout_s, record))
        self.now_s += 0.005 if len(self.asked) > 1 else 0.020
        label = self.labels[len(self.asked) - 1]
        return [SimpleNamespace(model_version=self.version, label=label, answer=Answer((label,)))]


def tried(server: Server, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    monkeypatch.setattr(smoke, "time", SimpleNamespace(perf_counter=lambda: server.now_s))
    return smoke_test(cast("TritonServer", server), "m", 3, GOLDEN)


def test_each_golden_image_is_asked_for_and_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server()
    assert tried(server, monkeypatch) == pytest.approx([20, 5])
    # 30 s: a first answer may wait for the network to be prepared.
    assert server.asked == [("m", [image], 30.0, False) for image in GOLDEN.images]


@pytest.mark.parametrize(
    ("server", "words"),
    [
        (Server(version=2), "Version 2 answered for 3"),
        (Server(labels=("1", "1")), "it calls a golden image '1'; exported, '2'"),
    ],
)
def test_another_version_or_answer_is_refused(
    server: Server, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ReleaseError, match=words):
        tried(server, monkeypatch)


def test_latencies_are_summed_up_by_their_median_and_the_slowest() -> None:
    assert SmokeTest.of([9.0, 1.0, 2.0]) == SmokeTest(3, 2.0, 9.0)


@given(st.lists(st.tuples(st.binary(), st.text()), max_size=5))
def test_a_golden_set_reads_back(items: list[tuple[bytes, str]]) -> None:
    golden = GoldenSet(
        images=tuple(image for image, _ in items),
        answers=tuple(Answer((label,)) for _, label in items),
        task="classification",
    )
    assert read_golden({"golden.json": write_golden(golden)}) == golden


def test_the_golden_set_of_an_earlier_version_is_read() -> None:
    written = {"images": [base64.b64encode(b"one").decode()], "labels": ["1"]}
    assert read_golden({"golden.json": json.dumps(written).encode()}) == golden(one="1")
