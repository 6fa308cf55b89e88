import json
import re
import sys
from typing import Any

import kubernetes_validate
import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from visionops_assets.settings import Settings
from visionops_assets.stages.serving import build_engine
from visionops_assets.stages.serving.engine_job import (
    BUILDER,
    RECORDS_FILE,
    UNUSABLE_EXIT_CODE,
    engine_job,
    main,
)

KUBERNETES_VERSION = "1.31"
IMAGE = "registry.example/visionops-tensorrt:1"


@pytest.fixture
def job() -> dict[str, Any]:
    return engine_job("classifier", 3, IMAGE, gpu_product="NVIDIA-L4")


def container_of(job: dict[str, Any]) -> dict[str, Any]:
    (container,) = job["spec"]["template"]["spec"]["containers"]
    found: dict[str, Any] = container
    return found


def test_kubernetes_understands_every_field(job: dict[str, Any]) -> None:
    kubernetes_validate.validate(job, KUBERNETES_VERSION, strict=True)
    job["spec"]["template"]["spec"]["tolerationz"] = []
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(job, KUBERNETES_VERSION, strict=True)


def test_it_runs_on_a_gpu_of_the_kind_asked_for(job: dict[str, Any]) -> None:
    pod = job["spec"]["template"]["spec"]
    assert container_of(job)["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert {t["key"] for t in pod["tolerations"]} == {"nvidia.com/gpu"}
    assert pod["nodeSelector"] == {"nvidia.com/gpu.product": "NVIDIA-L4"}
    anywhere = engine_job("classifier", 3, IMAGE)
    assert "nodeSelector" not in anywhere["spec"]["template"]["spec"]


def test_it_keeps_to_the_restricted_pod_security_standard(job: dict[str, Any]) -> None:
    pod, container = job["spec"]["template"]["spec"], container_of(job)
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not pod["automountServiceAccountToken"]
    assert all(v.keys() <= {"name", "emptyDir", "secret"} for v in pod["volumes"])


def test_its_command_line_is_one_that_the_builder_takes(
    job: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    container = container_of(job)
    assert container["command"] == ["python", "-m", BUILDER]
    assert build_engine.__name__ == BUILDER
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    app = typer.Typer()
    app.command()(build_engine.main)
    result = CliRunner().invoke(app, container["args"])
    assert "tensorrt is not installed" in result.stderr


def test_what_will_fail_again_is_not_tried_again(job: dict[str, Any]) -> None:
    (rule,) = job["spec"]["podFailurePolicy"]["rules"]
    assert rule["action"] == "FailJob"
    assert rule["onExitCodes"]["containerName"] == container_of(job)["name"]
    assert rule["onExitCodes"]["values"] == [UNUSABLE_EXIT_CODE]


def test_the_builder_leaves_its_records_where_kubernetes_keeps_them(job: dict[str, Any]) -> None:
    container = container_of(job)
    assert container["terminationMessagePath"] == RECORDS_FILE
    assert container["args"][-2:] == ["--records", RECORDS_FILE]
    assert container["terminationMessagePolicy"] == "FallbackToLogsOnError"


def test_what_is_built_names_the_job() -> None:
    def name(**changes: Any) -> str:
        known: dict[str, Any] = {"model_name": "m", "model_version": 3, "image": IMAGE}
        return str(engine_job(**(known | changes))["metadata"]["name"])

    names = {
        name(),
        name(model_name="n"),
        name(model_version=4),
        name(image="other"),
        name(gpu_product="NVIDIA-L4"),
        name(precision="int8"),
        name(after="2026-01-01"),
    }
    assert len(names) == 7
    assert name(gpu_product="NVIDIA-L4") in names


def test_its_variables_are_settings(job: dict[str, Any]) -> None:
    names = {variable["name"] for variable in container_of(job)["env"]} - {"HOME"}
    fields = {f"VISIONOPS_{field.upper()}" for field in Settings.model_fields}
    assert names == {"VISIONOPS_SIGNING_KEY_FILE"} <= fields


@given(st.from_regex(r"[A-Za-z0-9_-]{1,80}", fullmatch=True), st.integers(1, 10**6))
def test_any_model_name_gives_a_name_that_kubernetes_takes(model: str, version: int) -> None:
    job = engine_job(model, version, IMAGE)
    name = job["metadata"]["name"]
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", name)
    assert len(name) <= 63
    assert container_of(job)["args"][:2] == ["--model", model]


def test_it_prints_what_kubectl_takes() -> None:
    app = typer.Typer()
    app.command()(main)
    result = CliRunner().invoke(app, ["--model", "m", "--version", "2", "--image", IMAGE])
    assert json.loads(result.stdout) == engine_job("m", 2, IMAGE)
