"""The Kubernetes Job that builds an export's TensorRT engine on a GPU node.

The asset `engine` starts it. By hand:

    python -m visionops_assets.stages.serving.engine_job --model classifier --version 3 \
      --image registry.example/visionops-tensorrt:1 | kubectl create -f -

The image holds this package with its extra `tensorrt`, in the version of TensorRT that Triton has.
Settings come from the ConfigMap and the Secret `visionops`, the signing key from the Secret
`visionops-signing-key`.
"""

import hashlib
import json
import re
from typing import Annotated, Any, cast, get_args

import typer

from visionops_assets.vision.tensorrt_target import EnginePrecision

BUILDER = "visionops_assets.stages.serving.build_engine"
"""A name, since it imports PyTorch."""
UNUSABLE_EXIT_CODE = 3
"""Of the builder: an engine differs too much from PyTorch."""
RECORDS_FILE = "/dev/termination-log"
"""Kubernetes keeps what is written there as the container's message."""
SIGNING_KEY_DIR = "/etc/visionops/signing"
GPU_RESOURCE = "nvidia.com/gpu"
GPU_PRODUCT_LABEL = "nvidia.com/gpu.product"
NOT_EVICTED = {
    "karpenter.sh/do-not-disrupt": "true",
    "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
}
SLUG_MAX_LENGTH = 32
"""The version and a hash of eight characters follow, and Kubernetes allows 63."""


def engine_job(
    model_name: str,
    model_version: int,
    image: str,
    *,
    gpu_product: str | None = None,
    precision: EnginePrecision = "fp16",
    after: str = "",
) -> dict[str, Any]:
    """Return the Job, as Kubernetes reads it.

    `gpu_product` is the node label of NVIDIA's GPU feature discovery: an engine runs only on the
    kind of GPU that built it. Without it, any node with a GPU will do. Equal arguments give an
    equal name, so that one engine is not built twice at a time, and a run that died is found again;
    `after` says which result came before.
    """
    slug = re.sub(r"[^a-z0-9]+", "-", model_name.lower()).strip("-")[:SLUG_MAX_LENGTH]
    asked = json.dumps([model_name, model_version, image, gpu_product, precision, after])
    name = f"tensorrt-{slug}-{model_version}-{hashlib.sha256(asked.encode()).hexdigest()[:8]}"
    labels = {
        "app.kubernetes.io/name": "visionops",
        "app.kubernetes.io/component": "tensorrt-builder",
        # The network policies let pods with these labels reach MLflow and the object store.
        "visionops/role": "run",
        "visionops/reaches-s3": "true",
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "backoffLimit": 2,
            "activeDeadlineSeconds": 3600,
            "ttlSecondsAfterFinished": 86_400,
            # An engine that differs from PyTorch will differ again at a second try.
            "podFailurePolicy": {
                "rules": [
                    {
                        "action": "FailJob",
                        "onExitCodes": {
                            "containerName": "builder",
                            "operator": "In",
                            "values": [UNUSABLE_EXIT_CODE],
                        },
                    }
                ]
            },
            "template": {
                "metadata": {"labels": labels, "annotations": NOT_EVICTED},
                "spec": _pod(_container(model_name, model_version, image, precision), gpu_product),
            },
        },
    }


def _pod(container: dict[str, Any], gpu_product: str | None) -> dict[str, Any]:
    pod: dict[str, Any] = {
        "restartPolicy": "Never",
        # This account has the role, where a role replaces the object store's keys.
        "serviceAccountName": "object-store",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "priorityClassName": "visionops-batch",
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 10001,
            "runAsGroup": 10001,
            "fsGroup": 10001,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "tolerations": [{"key": GPU_RESOURCE, "operator": "Exists", "effect": "NoSchedule"}],
        "containers": [container],
        "volumes": [
            {"name": "tmp", "emptyDir": {"sizeLimit": "4Gi"}},
            {
                "name": "signing-key",
                "secret": {"secretName": "visionops-signing-key", "defaultMode": 0o440},
            },
        ],
    }
    if gpu_product:
        pod["nodeSelector"] = {GPU_PRODUCT_LABEL: gpu_product}
    return pod


def _container(
    model_name: str, model_version: int, image: str, precision: EnginePrecision
) -> dict[str, Any]:
    words = {
        "--model": model_name,
        "--version": str(model_version),
        "--precision": precision,
        "--records": RECORDS_FILE,
    }
    return {
        "name": "builder",
        "image": image,
        "command": ["python", "-m", BUILDER],
        "args": [word for pair in words.items() for word in pair],
        "terminationMessagePath": RECORDS_FILE,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "envFrom": [
            {"configMapRef": {"name": "visionops"}},
            {"secretRef": {"name": "visionops"}},
        ],
        "env": [
            {"name": "HOME", "value": "/tmp"},  # noqa: S108 - a volume of its own
            {"name": "VISIONOPS_SIGNING_KEY_FILE", "value": f"{SIGNING_KEY_DIR}/signing.key"},
        ],
        "resources": {
            "requests": {"cpu": "2", "memory": "8Gi"},
            "limits": {"memory": "8Gi", GPU_RESOURCE: "1"},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - a volume of its own
            {"name": "signing-key", "mountPath": SIGNING_KEY_DIR, "readOnly": True},
        ],
    }


def main(
    model: Annotated[str, typer.Option(help="Name of the model.")],
    version: Annotated[int, typer.Option(help="Its exported version.")],
    image: Annotated[str, typer.Option(help="Image with visionops[tensorrt].")],
    gpu_product: Annotated[str | None, typer.Option(help="Kind of GPU, as its node says.")] = None,
    precision: Annotated[str, typer.Option(help="fp16 or int8.")] = "fp16",
) -> None:
    """Print the Job as JSON, which `kubectl create -f -` takes."""
    if precision not in get_args(EnginePrecision):
        raise typer.BadParameter("--precision is fp16 or int8.")
    known = cast("EnginePrecision", precision)
    job = engine_job(model, version, image, gpu_product=gpu_product, precision=known)
    typer.echo(json.dumps(job, indent=2))


if __name__ == "__main__":
    typer.run(main)
