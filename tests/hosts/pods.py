"""What the manifests say of a pod, as far as a process needs it. Pure.

Only what pods of this project have is read: one container and the sidecars that start before it,
their arguments, variables, probes, folders.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from tests.deploy.manifests import Manifest, pod

_REFERENCE = re.compile(r"\$\(([A-Za-z_][A-Za-z0-9_]*)\)")

Secrets = Mapping[str, Mapping[str, str]]
"""Values by Secret and key."""


@dataclass(frozen=True)
class Probe:
    """How a pod is asked: by a GET of `port`, or by a command in it. Defaults are Kubernetes'."""

    path: str = ""
    port: int = 0
    command: tuple[str, ...] = ()
    period_s: float = 10.0
    timeout_s: float = 1.0
    failure_threshold: int = 3


@dataclass(frozen=True)
class Folder:
    """An empty folder that a pod gets: the containers that mount its volume share it."""

    volume: str
    in_memory: bool = False


@dataclass(frozen=True)
class PodTemplate:
    """One kind of pod, or a sidecar of one. `folders` are the empty ones it gets, by path.

    `program` is what the manifest starts in place of the image's own; empty if nothing.
    """

    kind: str
    program: tuple[str, ...]
    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    startup: Probe | None
    liveness: Probe | None
    readiness: Probe | None
    folders: Mapping[str, Folder]
    grace_s: float
    has_read_only_root: bool
    sidecars: tuple["PodTemplate", ...] = ()


def read_template(
    kind: str, workload: Manifest, config_maps: Mapping[str, Mapping[str, str]], secrets: Secrets
) -> PodTemplate:
    """Read a workload's pod.

    Raises:
        KeyError: it wants a ConfigMap, a Secret or a key that is not there.
    """
    specification = pod(workload)
    (container,) = specification["containers"]
    sidecars = [
        _template(sidecar["name"], specification, sidecar, config_maps, secrets)
        for sidecar in specification.get("initContainers", [])
        if sidecar.get("restartPolicy") == "Always"
    ]
    template = _template(kind, specification, container, config_maps, secrets)
    return replace(template, sidecars=tuple(sidecars))


def _template(
    kind: str,
    specification: Manifest,
    container: Manifest,
    config_maps: Mapping[str, Mapping[str, str]],
    secrets: Secrets,
) -> PodTemplate:
    environment = _environment(container, config_maps, secrets)
    ports = {port["name"]: port["containerPort"] for port in container.get("ports", [])}
    security = container.get("securityContext", {})
    return PodTemplate(
        kind=kind,
        program=tuple(_expanded(word, environment) for word in container.get("command", [])),
        arguments=tuple(_expanded(word, environment) for word in container.get("args", [])),
        environment=environment,
        startup=_probe(container.get("startupProbe"), ports),
        liveness=_probe(container.get("livenessProbe"), ports),
        readiness=_probe(container.get("readinessProbe"), ports),
        folders=_folders(specification, container),
        grace_s=specification.get("terminationGracePeriodSeconds", 30),
        has_read_only_root=security.get("readOnlyRootFilesystem", False),
    )


def _environment(
    container: Manifest, config_maps: Mapping[str, Mapping[str, str]], secrets: Secrets
) -> dict[str, str]:
    environment: dict[str, str] = {}
    for source in container.get("envFrom", []):
        environment |= config_maps[source["configMapRef"]["name"]]
    for variable in container.get("env", []):
        if "value" in variable:
            value = _expanded(variable["value"], environment)
        else:
            reference = variable["valueFrom"]["secretKeyRef"]
            value = secrets[reference["name"]][reference["key"]]
        environment[variable["name"]] = value
    return environment


def _expanded(text: str, environment: Mapping[str, str]) -> str:
    """Put variables in the place of `$(NAME)`; what is unknown stays, as Kubernetes has it."""
    return _REFERENCE.sub(lambda found: environment.get(found[1], found[0]), text)


def _probe(said: Manifest | None, ports: Mapping[str, int]) -> Probe | None:
    if said is None:
        return None
    patience: dict[str, Any] = {
        "period_s": said.get("periodSeconds", 10),
        "timeout_s": said.get("timeoutSeconds", 1),
        "failure_threshold": said.get("failureThreshold", 3),
    }
    if "exec" in said:
        return Probe(command=tuple(said["exec"]["command"]), **patience)
    request = said["httpGet"]
    port = request["port"]
    return Probe(request["path"], port if isinstance(port, int) else ports[port], **patience)


def _folders(specification: Manifest, container: Manifest) -> dict[str, Folder]:
    """Return the empty folders of a container by their paths."""
    empty = {
        volume["name"]: Folder(volume["name"], volume["emptyDir"].get("medium") == "Memory")
        for volume in specification.get("volumes", [])
        if "emptyDir" in volume
    }
    mounts = container.get("volumeMounts", [])
    return {m["mountPath"]: empty[m["name"]] for m in mounts if m["name"] in empty}
