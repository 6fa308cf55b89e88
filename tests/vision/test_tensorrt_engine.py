"""TensorRT itself needs a GPU: here is what does not, and that its API is called in its order."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from visionops_assets.contracts import ModelCard
from visionops_assets.errors import ReleaseError, SettingsError
from visionops_assets.vision.tensorrt_engine import Engine, build_engine, this_target
from visionops_assets.vision.tensorrt_target import Target

L4 = Target("NVIDIA L4", (8, 9), "11.4.0")


def test_a_key_names_gpu_version_and_precision() -> None:
    assert L4.engine_key("fp16") == "nvidia-l4-sm89-trt11.4.0-fp16"
    target = Target("NVIDIA A100-SXM4-80GB", (8, 0), "10.13.3.9")
    assert target.engine_key("int8") == "nvidia-a100-sxm4-80gb-sm80-trt10.13.3.9-int8"


@given(st.text(min_size=1))
def test_a_key_is_fit_for_an_object_store(gpu: str) -> None:
    key = Target(gpu, (9, 0), "11.4.0").engine_key("fp16")
    assert set(key) <= set("abcdefghijklmnopqrstuvwxyz0123456789-.")


def test_without_tensorrt_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(SettingsError, match=r"pip install visionops\[tensorrt\]"):
        this_target()


def test_this_machine_is_named_by_its_first_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", SimpleNamespace(__version__="11.4.0"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", ["NVIDIA L4", "another"].__getitem__)
    monkeypatch.setattr(torch.cuda, "get_device_capability", [(8, 9), (9, 0)].__getitem__)
    assert this_target() == L4


class Recorder:
    """Stands for an object of TensorRT's: notes its calls, and answers what it was told to."""

    num_errors = 1

    def __init__(self, calls: list[tuple[Any, ...]], answers: dict[str, Any]) -> None:
        self._calls, self._answers = calls, answers

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            self._calls.append((name, *arguments))
            return self._answers.get(name)

        return call


class FakeTensorRT:
    """The names of the package that a build uses; `answers` by method."""

    def __init__(self, **answers: Any) -> None:
        self.calls: list[tuple[Any, ...]] = []
        defaults = {
            "parse": True,
            "set_timing_cache": True,
            "build_serialized_network": b"plan",
            "serialize": b"timings",
            "get_error": "unsupported node",
        }
        recorder = Recorder(self.calls, defaults | answers)
        for method in ("create_network", "create_builder_config", "create_optimization_profile"):
            recorder._answers[method] = recorder
        recorder._answers["create_timing_cache"] = recorder
        self.Logger = lambda _: None
        self.Logger.WARNING = 0  # type: ignore[attr-defined]
        self.Builder = lambda _: recorder
        self.OnnxParser = lambda *_: recorder
        self.NetworkDefinitionCreationFlag = SimpleNamespace(STRONGLY_TYPED=1)
        self.MemoryPoolType = SimpleNamespace(WORKSPACE="workspace")

    def build(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> Any:
        monkeypatch.setitem(sys.modules, "tensorrt", self)
        (folder / "model.onnx").write_bytes(b"graph")
        return build_engine(folder / "model.onnx", 64, b"earlier timings")


def test_a_strongly_typed_network_is_built_for_batches_of_1_to_32(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fake = FakeTensorRT()
    built = fake.build(monkeypatch, tmp_path)
    assert (built.plan, built.timing_cache) == (b"plan", b"timings")
    shapes = [(count, 3, 64, 64) for count in (1, 8, 32)]
    assert ("create_network", 1 << 1) in fake.calls
    assert ("set_shape", "images", *shapes) in fake.calls
    assert ("create_timing_cache", b"earlier timings") in fake.calls
    assert ("set_memory_pool_limit", "workspace", 1024**3) in fake.calls
    # Timings of another GPU are to be refused, not to be believed.
    assert [call[2] for call in fake.calls if call[0] == "set_timing_cache"] == [False]
    names = [call[0] for call in fake.calls]
    order = ["create_network", "parse", "set_shape", "add_optimization_profile"]
    order += ["set_timing_cache", "build_serialized_network", "serialize"]
    assert [name for name in names if name in order] == order


def test_timings_of_another_gpu_are_replaced_by_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fake = FakeTensorRT(set_timing_cache=False)
    fake.build(monkeypatch, tmp_path)
    assert [call[2] for call in fake.calls if call[0] == "set_timing_cache"] == [False, False]
    created = [call for call in fake.calls if call[0] == "create_timing_cache"]
    assert created == [("create_timing_cache", b"earlier timings"), ("create_timing_cache", b"")]


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ({"parse": False}, "cannot parse model.onnx: unsupported node"),
        ({"build_serialized_network": None}, "cannot build model.onnx"),
    ],
)
def test_what_tensorrt_refuses_is_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, answers: dict[str, Any], message: str
) -> None:
    with pytest.raises(ReleaseError, match=message):
        FakeTensorRT(**answers).build(monkeypatch, tmp_path)


def test_an_engine_of_another_gpu_is_refused_when_it_is_loaded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fake = FakeTensorRT(deserialize_cuda_engine=None)
    fake.Runtime = fake.Builder  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tensorrt", fake)
    with pytest.raises(ReleaseError, match="another GPU or TensorRT"):
        Engine(b"plan", cast("ModelCard", None), ())
