"""What a version folder is made of, by the settings of serving."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.declared import declaration
from tests.releasing.versions import golden
from tests.stages.serving_exports import CARD
from visionops_assets.releasing import publishing
from visionops_assets.releasing.publishing import Publisher
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.settings import Settings


@pytest.mark.parametrize(
    ("layout", "backend", "released_for", "precision"),
    [
        ("fused", "python", "python", "int8"),
        ("ensemble", "onnxruntime", "onnxruntime", "int8"),
        # Engines come later, each for its GPU.
        ("ensemble", "tensorrt", "onnxruntime", "fp32"),
    ],
)
def test_a_release_always_serves_onnx(
    monkeypatch: pytest.MonkeyPatch, layout: Any, backend: Any, released_for: str, precision: str
) -> None:
    settings = Settings(serving_layout=layout, serving_backend=backend)
    exported = SimpleNamespace(snapshot_id="ds-test")
    files = {"model.json": CARD.model_dump_json().encode(), "fp32": b"fp32", "int8": b"int8"}
    found = golden(one="a")
    rendered: list[Any] = []

    def render(*given: Any) -> dict[str, bytes]:
        rendered.append(given[-1])
        return {}

    for name, value in {
        "load_settings": lambda: settings,
        "model_named": lambda name: declaration(name, serving={"precision": "int8"}),
        "read_export": lambda *_: (exported, files),
        "serving_report": lambda _, asked: SimpleNamespace(file=asked, latency_ms=1.0),
        "golden_images": lambda *_: None,
        "golden_set": lambda *_: found,
        "pipeline_files": render,
    }.items():
        monkeypatch.setattr(publishing, name, value)
    made = Publisher(cast("ObjectStore", None), Path(), "m")._made(1)
    assert made["model.onnx"] == precision.encode()
    (options,) = rendered
    assert (options.layout, options.backend) == (layout, released_for)
