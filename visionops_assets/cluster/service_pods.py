"""The Deployment of a service, as `roster/ours.py` declares it.

Patches of `base/patches` add the restrictions and the settings that every pod of ours has.
"""

from typing import Any

from visionops_assets.roster.service import Address, Heartbeat, Need, Pods, Service

COMPONENT = "app.kubernetes.io/component"
IMAGE = "visionops/app:0.1.0"
"""As overlays know it, which put their registry's name and tag in its place."""
_HOME = "/tmp/visionops"  # noqa: S108 - VISIONOPS_HOME of base/settings.env
_SIGNING = "/etc/visionops/signing"
_REACHED = (Need.CATALOG, Need.STORE, Need.QUEUE, Need.CAMERAS)
"""Those that a label opens the way to; to the others go policies of their own."""
_SPREAD_OVER = ("topology.kubernetes.io/zone", "kubernetes.io/hostname")
_LEAVE_S = 5
"""Endpoints take a moment to forget a pod; requests under way are finished after that."""

Manifest = dict[str, Any]


def deployment(service: Service) -> Manifest:
    """Return the Deployment of a service that has pods.

    Raises:
        ValueError: it has none.
    """
    if service.pods is None:
        raise ValueError(f"{service.name} runs in pods of another server")
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": service.name, **_keys(service)},
        "spec": {
            **_numbers(service.pods),
            "selector": selector(service),
            "template": {
                "metadata": {"labels": _labels(service)},
                "spec": _pod(service, service.pods),
            },
        },
    }


def selector(service: Service) -> dict[str, dict[str, str]]:
    """Return what tells the pods of a service."""
    return {"matchLabels": {"app.kubernetes.io/name": "visionops", COMPONENT: service.name}}


def _numbers(pods: Pods) -> Manifest:
    if pods.most:
        # Their number is the autoscaler's.
        return {"strategy": {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}}
    alone = {"strategy": {"type": "Recreate"}} if pods.is_alone else {}
    return {"replicas": pods.replicas, **alone}


def _keys(service: Service) -> Manifest:
    """Return the label by which components/store-keys finds those that take keys of the store."""
    return {"labels": {"visionops/store-keys": "true"}} if Need.STORE in service.needs else {}


def _labels(service: Service) -> dict[str, str]:
    reached = [need for need in _REACHED if need in (*service.needs, *service.calls)]
    labels = {f"visionops/reaches-{need}": "true" for need in reached}
    return selector(service)["matchLabels"] | labels


def _pod(service: Service, pods: Pods) -> Manifest:
    is_public = any(address.is_public for address in service.addresses)
    spread = [
        {
            "maxSkew": 1,
            "topologyKey": key,
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": selector(service),
        }
        for key in _SPREAD_OVER
    ]
    volumes: list[Manifest] = [{"name": "tmp", "emptyDir": {"sizeLimit": pods.tmp}}]
    if service.signs:
        secret = {"secretName": "visionops-signing-key", "defaultMode": 0o440}
        volumes.append({"name": "signing-key", "secret": secret})
    return {
        "serviceAccountName": pods.account,
        "automountServiceAccountToken": False,
        "priorityClassName": "visionops-serving" if is_public else "visionops-control",
        "terminationGracePeriodSeconds": pods.grace_s,
        **({"topologySpreadConstraints": spread} if pods.are_several else {}),
        "containers": [_container(service, pods, is_public)],
        "volumes": volumes,
    }


def _container(service: Service, pods: Pods, is_public: bool) -> Manifest:
    leave = {"lifecycle": {"preStop": {"sleep": {"seconds": _LEAVE_S}}}}
    ports = [
        {"name": address.protocol, "containerPort": address.number} for address in service.addresses
    ]
    mounts: list[Manifest] = [{"name": "tmp", "mountPath": "/tmp"}]  # noqa: S108 - a volume
    if service.signs:
        mounts.append({"name": "signing-key", "mountPath": _SIGNING, "readOnly": True})
    return {
        "name": service.name,
        "image": IMAGE,
        "args": ["-m", service.module],
        **(leave if is_public else {}),
        "env": _variables(service),
        **({"ports": ports} if ports else {}),
        **probes(service),
        "resources": {
            "requests": {"cpu": pods.cpu, "memory": pods.memory},
            "limits": {"memory": pods.memory_limit},
        },
        "volumeMounts": mounts,
    }


def probes(service: Service) -> Manifest:
    """Return the probes of a service, by its first address or by its heartbeat."""
    if service.heartbeat:
        return _probes_of_file(service.name, service.heartbeat)
    # Of the process alone: a database that is down is no reason to restart what waits for it.
    healthy = {"httpGet": {"path": "/healthz", "port": "http"}}
    ready = {"httpGet": {"path": service.ready_path, "port": "http"}}
    return {
        # Importing takes seconds on a busy node.
        "startupProbe": {**healthy, "periodSeconds": 2, "failureThreshold": 60},
        "livenessProbe": {**healthy, "periodSeconds": 10, "timeoutSeconds": 5},
        "readinessProbe": {**ready, "periodSeconds": 5, "timeoutSeconds": 5},
    }


def _probes_of_file(name: str, heartbeat: Heartbeat) -> Manifest:
    found = f"find {_HOME}/run/{name}.alive -mmin -{heartbeat.silence_min}"
    beats = {"exec": {"command": ["sh", "-c", f'test "$({found})"']}}
    return {
        "startupProbe": {**beats, "periodSeconds": 5, "failureThreshold": 24},
        "livenessProbe": {**beats, "periodSeconds": heartbeat.asked_every_s, "timeoutSeconds": 5},
    }


def _variables(service: Service) -> list[Manifest]:
    """Return where it listens, and its secrets. Overlays say who it is to store and queue."""
    variables = [_listens(address) for address in service.addresses]
    if service.signs:
        file = f"{_SIGNING}/signing.key"
        variables.append({"name": "VISIONOPS_SIGNING_KEY_FILE", "value": file})
    if Need.CATALOG in service.needs:
        variables.append(_from_secret("postgres_url", "visionops"))
    of_keys = [
        _from_secret(key.setting, key.secret, is_optional=key.is_optional) for key in service.keys
    ]
    return variables + of_keys


def _listens(address: Address) -> Manifest:
    """Return the variable of an address. The ConfigMap has the one by which others know it."""
    return {"name": f"VISIONOPS_{address.setting.upper()}", "value": address.at("0.0.0.0")}  # noqa: S104


def _from_secret(setting: str, secret: str, *, is_optional: bool = False) -> Manifest:
    name = f"VISIONOPS_{setting.upper()}"
    reference: Manifest = {"name": secret, "key": name}
    if is_optional:
        reference["optional"] = True
    return {"name": name, "valueFrom": {"secretKeyRef": reference}}
