"""Asks a cluster by kubectl what it has, and renders an overlay. It changes nothing."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml

from visionops_assets.cluster.facts import Cluster, Node, Object
from visionops_assets.errors import ServerUnreachableError, StackError

TIMEOUT_S = 60
_DEFAULT = "storageclass.kubernetes.io/is-default-class"
_KINDS = (
    "jsonpath={range .items[*]}{.spec.group} {.spec.names.kind} "
    '{.spec.versions[?(@.served==true)].name}{"\\n"}{end}'
)


def render(overlay: Path) -> list[Object]:
    """Return the objects of an overlay.

    Raises:
        StackError: kubectl is not installed, or the overlay cannot be rendered.
    """
    done = _run("kustomize", str(overlay))
    if done.returncode:
        raise StackError(f"The overlay {overlay} cannot be rendered: {_said(done)}")
    return list(yaml.safe_load_all(done.stdout))


class Kubectl:
    """Reads from the cluster of one context of the kubeconfig; None is the current one."""

    def __init__(self, context: str | None) -> None:
        self._options = ("--context", context) if context else ()

    def see(self) -> Cluster:
        """Return what the cluster has.

        Raises:
            StackError: kubectl is not installed.
            ServerUnreachableError: the cluster does not answer, or not to this user.
        """
        version = json.loads(self._ask("version", "--output", "json"))["serverVersion"]
        nodes, namespaces = self._items("nodes"), self._items("namespaces")
        return Cluster(
            version=(int(version["major"]), int(version["minor"].rstrip("+"))),
            kinds=self._kinds(),
            apis=frozenset(_name(api) for api in self._items("apiservices") if _is_available(api)),
            default_storage_class=self._default_storage_class(),
            node_programs=self._node_programs(),
            nodes=tuple(Node(n["metadata"]["labels"], n["status"]["allocatable"]) for n in nodes),
            gateway_classes=self._names("gatewayclasses"),
            issuers=self._names("clusterissuers"),
            namespaces={_name(n): n["metadata"].get("labels", {}) for n in namespaces},
        )

    def _kinds(self) -> frozenset[tuple[str, str, str]]:
        lines = self._ask("get", "customresourcedefinitions", "--output", _KINDS).splitlines()
        return frozenset(
            (group, kind, version)
            for group, kind, *versions in map(str.split, filter(str.strip, lines))
            for version in versions
        )

    def _default_storage_class(self) -> str:
        found = self._items("storageclasses")
        marked = [s for s in found if s["metadata"].get("annotations", {}).get(_DEFAULT) == "true"]
        return _name(marked[0]) if marked else ""

    def _node_programs(self) -> frozenset[str]:
        """Name the DaemonSets, and their containers."""
        sets = self._items("daemonsets", "--all-namespaces")
        containers = (c["name"] for s in sets for c in s["spec"]["template"]["spec"]["containers"])
        return frozenset((*map(_name, sets), *containers))

    def _names(self, kind: str) -> frozenset[str]:
        """Name the objects of a kind; none, if the cluster does not know the kind."""
        done = _run(*self._options, "get", kind, "--output", "json")
        items = json.loads(done.stdout)["items"] if done.returncode == 0 else []
        return frozenset(map(_name, items))

    def _items(self, kind: str, *options: str) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = json.loads(
            self._ask("get", kind, *options, "--output", "json")
        )["items"]
        return items

    def _ask(self, *words: str) -> str:
        done = _run(*self._options, *words)
        if done.returncode:
            raise ServerUnreachableError(
                f"The cluster did not answer `kubectl {words[0]} {words[1]}`: {_said(done)}"
            )
        return done.stdout


def _run(*words: str) -> subprocess.CompletedProcess[str]:
    program = shutil.which("kubectl")
    if program is None:
        raise StackError("kubectl is not on PATH. Install it: it asks the cluster.")
    try:
        return subprocess.run(
            [program, *words], capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise ServerUnreachableError(
            f"`kubectl {' '.join(words[:4])}` did not end within {TIMEOUT_S} s."
        ) from None


def _said(done: subprocess.CompletedProcess[str]) -> str:
    """Return what kubectl complained of, in one line."""
    return " ".join(done.stderr.split())


def _name(item: dict[str, Any]) -> str:
    name: str = item["metadata"]["name"]
    return name


def _is_available(api: dict[str, Any]) -> bool:
    conditions = api.get("status", {}).get("conditions", [])
    return any(c["type"] == "Available" and c["status"] == "True" for c in conditions)
