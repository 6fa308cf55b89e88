import sys
from collections import Counter
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from visionops_assets.settings import Settings

PIPELINE = Settings.model_fields["project_root"].default / "triton_models" / "classifier"


class TritonError(Exception):
    INVALID_ARG = 3
    INTERNAL = 13

    def __init__(self, message: str, code: int = 0) -> None:
        super().__init__(message)
        self.code = code


class MetricFamily:
    """Counts in memory what Triton would show at its metrics endpoint, by name and labels."""

    COUNTER = 0
    counts: Counter[tuple[str, frozenset[tuple[str, str]]]]

    def __init__(self, name: str, description: str, kind: int) -> None:
        self.name = name

    def Metric(self, labels: dict[str, str]) -> Any:  # noqa: N802 - Triton's name
        key = self.name, frozenset(labels.items())

        def increment(amount: float) -> None:
            self.counts[key] += int(amount)

        return SimpleNamespace(increment=increment)


def counted(name: str, **labels: str) -> int:
    """Return what all metrics of a name that have these labels count together."""
    wanted = set(labels.items())
    return sum(
        n for (family, own), n in MetricFamily.counts.items() if family == name and own >= wanted
    )


class Tensor:
    def __init__(self, name: str, array: Any) -> None:
        self.name, self.array = name, array

    def as_numpy(self) -> Any:
        return self.array


@pytest.fixture
def triton_backend(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Stand in for the module that exists only inside Triton; the pipeline imports it."""
    backend = ModuleType("triton_python_backend_utils")
    MetricFamily.counts = Counter()
    vars(backend).update(
        TritonError=TritonError,
        MetricFamily=MetricFamily,
        Tensor=Tensor,
        InferenceResponse=lambda output_tensors=(), error=None: SimpleNamespace(
            outputs={tensor.name: tensor.array for tensor in output_tensors}, error=error
        ),
        get_input_tensor_by_name=lambda request, name: Tensor(name, request.inputs[name]),
    )
    monkeypatch.setitem(sys.modules, backend.__name__, backend)
    for name in ("model", "served", "asked", "steps", "recorder", "preprocess", "infer", "record"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(str(PIPELINE))
    return backend


@pytest.fixture
def version_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "1"
    folder.mkdir()
    return folder
