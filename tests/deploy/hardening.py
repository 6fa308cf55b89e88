"""What every pod of ours must keep to, whoever makes it: a manifest, or Dagster."""

import re

from tests.deploy.manifests import Manifest, containers

_IMAGE = re.compile(
    r"(?P<name>[\w./-]+(:\d+/[\w./-]+)?)(:(?P<tag>[\w.-]+))?(@sha256:[0-9a-f]{64})?"
)
_SECRET = re.compile(r"://[^/\s:@$]+:[^/\s@$]+@|password|BEGIN [A-Z ]*PRIVATE KEY", re.IGNORECASE)


def weaknesses(pod: Manifest) -> list[str]:
    """Name what a pod's specification lacks; nothing, if all is well."""
    context = pod.get("securityContext", {})
    found = []
    if not (context.get("runAsNonRoot") and context.get("runAsUser", 0) > 0):
        found.append("may run as root")
    if context.get("seccompProfile") != {"type": "RuntimeDefault"}:
        found.append("has no seccomp profile")
    if not pod.get("priorityClassName"):
        found.append("has no priority")
    if pod.get("enableServiceLinks") is not False:
        found.append("gets variables of Services, MLFLOW_PORT among them")
    if any(pod.get(field) for field in ("hostNetwork", "hostPID", "hostIPC")):
        found.append("shares a namespace of its node")
    for volume in pod.get("volumes", []):
        if "hostPath" in volume:
            found.append(f"sees {volume['hostPath']['path']} of its node")
        if "emptyDir" in volume and not volume["emptyDir"].get("sizeLimit"):
            found.append(f"may fill its node's disk by {volume['name']}")
    for container in containers(pod):
        found += [f"{container['name']}: {weakness}" for weakness in _of_container(container)]
    return found


def _of_container(container: Manifest) -> list[str]:
    context = container.get("securityContext", {})
    limits = container.get("resources", {}).get("limits", {})
    requests = container.get("resources", {}).get("requests", {})
    checks = {
        "may gain privileges": context.get("allowPrivilegeEscalation") is False,
        "is privileged": not context.get("privileged"),
        "writes to its root": context.get("readOnlyRootFilesystem") is True,
        "has capabilities": context.get("capabilities") == {"drop": ["ALL"]},
        "has no limit of memory": "memory" in limits,
        "asks for no CPU or memory": {"cpu", "memory"} <= requests.keys(),
        "has an image of no fixed version": is_pinned(container["image"]),
        "cannot write to /tmp": any(
            mount["mountPath"] == "/tmp" for mount in container.get("volumeMounts", [])
        ),
    }
    clear = [v["name"] for v in container.get("env", []) if _SECRET.search(v.get("value", ""))]
    return [weakness for weakness, passed in checks.items() if not passed] + [
        f"has the secret {name} in clear" for name in clear
    ]


def is_pinned(image: str) -> bool:
    """Tell whether an image's name has a tag that is not `latest`, or a digest."""
    parts = _IMAGE.fullmatch(image)
    return bool(parts and (parts["tag"] or "@" in image) and parts["tag"] != "latest")


def looks_secret(text: str) -> bool:
    """Tell whether a text holds a password in a URL, or a private key."""
    return bool(_SECRET.search(text))
