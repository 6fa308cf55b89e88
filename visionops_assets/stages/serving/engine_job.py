"""The Kubernetes Job that builds an export's TensorRT engines on a GPU node.

    python -m visionops_assets.stages.serving.engine_job --model classifier --version 3 \
      --image registry.example/visionops-tensorrt:1 | kubectl create -f -

The image holds this package with its extra `tensorrt`, in the version of TensorRT that Triton has.
Settings come from the ConfigMap and the Secret `visionops`, the signing key from the Secret
`visionops-signing-key`.
"""

import json
import re
from typing import Annotated, Any

import typer

from visionops_assets.stages.serving import build_engine
from visionops_assets.stages.serving.build_engine import UNUSABLE_EXIT_CODE

SIGNING_KEY_DIR = "/etc/visionops/signing"
GPU_RESOURCE = "nvidia.com/gpu"
GPU_PRODUCT_LABEL = "nvidia.com/gpu.product"
NOT_EVICTED = {
    "karpenter.sh/do-not-disrupt": "true",
    "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
}
NAME_MAX_LENGTH = 40
"""Kubernetes appends the version and five random characters, and allows 63."""


def engine_job(
    model_name: str, model_version: int, image: str, *, gpu_product: str | None = None
) -> dict[str, Any]:
    """Return the Job, as Kubernetes reads it.

    `gpu_product` is the node label of NVIDIA's GPU feature discovery: an engine runs only on the
    kind of GPU that built it. Without it, any node with a GPU will do.
    """
    slug = re.sub(r"[^a-z0-9]+", "-", model_name.lower()).strip("-")[:NAME_MAX_LENGTH]
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
        "metadata": {"generateName": f"tensorrt-{slug}-{model_version}-", "labels": labels},
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
                "spec": _pod(model_name, model_version, image, gpu_product),
            },
        },
    }


def _pod(
    model_name: str, model_version: int, image: str, gpu_product: str | None
) -> dict[str, Any]:
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
        "containers": [_container(model_name, model_version, image)],
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


def _container(model_name: str, model_version: int, image: str) -> dict[str, Any]:
    return {
        "name": "builder",
        "image": image,
        "command": ["python", "-m", build_engine.__name__],
        "args": ["--model", model_name, "--version", str(model_version)],
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
) -> None:
    """Print the Job as JSON, which `kubectl create -f -` takes."""
    typer.echo(json.dumps(engine_job(model, version, image, gpu_product=gpu_product), indent=2))


if __name__ == "__main__":
    typer.run(main)
