"""A running `apiextensions-apiserver`, on an etcd of its own, and a client that may do all."""

import json
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.api_server.definitions import plural
from tests.deploy.manifests import Manifest
from tests.free_ports import free_ports
from tests.queues.certificates import Authority

READY_WITHIN_S = 60.0
POLL_S = 0.2
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
MASTERS = "system:masters"
"""The group of Kubernetes that may do all, without being asked about."""
_ADMISSION_OF_OTHERS = ",".join(
    (
        *("NamespaceLifecycle", "MutatingAdmissionWebhook", "ValidatingAdmissionWebhook"),
        *("MutatingAdmissionPolicy", "ValidatingAdmissionPolicy"),
    )
)
"""What asks servers that are not here."""


class ApiServer:
    """Creates and replaces objects, each field known (`fieldValidation=Strict`)."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def define(self, definition: Manifest) -> None:
        """Create a CustomResourceDefinition and wait until its kind is served.

        Raises:
            AssertionError: it is refused, or not served in time.
        """
        answer = self._client.post(DEFINITIONS, json=definition)
        assert answer.status_code == httpx.codes.CREATED, answer.json()["message"]
        spec = definition["spec"]
        path = f"/apis/{spec['group']}/{spec['versions'][0]['name']}/{spec['names']['plural']}"
        self._until(path)

    def refusal_of(self, manifest: Manifest) -> str | None:
        """Create an object, or replace the one of its name; return why it is refused, if it is."""
        name = manifest["metadata"]["name"]
        where = _path(manifest)
        found = self._client.get(f"{where}/{name}")
        strict = {"fieldValidation": "Strict"}
        if found.status_code == httpx.codes.OK:
            metadata = manifest["metadata"] | {
                "resourceVersion": found.json()["metadata"]["resourceVersion"]
            }
            changed = manifest | {"metadata": metadata}
            answer = self._client.put(f"{where}/{name}", json=changed, params=strict)
        else:
            answer = self._client.post(where, json=manifest, params=strict)
        return None if answer.is_success else str(answer.json()["message"])

    def wait(self) -> None:
        """Wait until it takes definitions. `/readyz` waits for servers that are not here."""
        self._until(DEFINITIONS)

    def _until(self, path: str) -> None:
        due_at_s = time.monotonic() + READY_WITHIN_S
        said = ""
        while time.monotonic() < due_at_s:
            try:
                answer = self._client.get(path)
            except httpx.TransportError as error:
                said = str(error)
            else:
                if answer.is_success:
                    return
                said = answer.text
            time.sleep(POLL_S)
        raise AssertionError(f"{path} does not answer within {READY_WITHIN_S:.0f} s: {said}")


def _path(manifest: Manifest) -> str:
    namespace = manifest["metadata"].get("namespace", "default")
    kind = plural(manifest["kind"])
    return f"/apis/{manifest['apiVersion']}/namespaces/{namespace}/{kind}"


@contextmanager
def running(server: Path, etcd: Path, home: Path) -> Iterator[ApiServer]:
    """Run both programs for the length of the block; their logs and data lie in `home`."""
    port, etcd_port, peer_port = free_ports(3)
    authority = Authority(home)
    certificate, key = authority.sign("server", "127.0.0.1")
    trusted = ssl.create_default_context(cafile=str(authority.file))
    trusted.load_cert_chain(*authority.sign("admin", group=MASTERS))
    here, etcd_here = f"https://127.0.0.1:{port}", f"http://127.0.0.1:{etcd_port}"
    peer = f"http://127.0.0.1:{peer_port}"
    others = home / "kubeconfig"
    others.write_text(json.dumps(_kubeconfig(here, authority.file)))
    commands = (
        [
            *(etcd, "--data-dir", home / "etcd", "--listen-client-urls", etcd_here),
            *("--advertise-client-urls", etcd_here, "--listen-peer-urls", peer),
            *("--initial-advertise-peer-urls", peer, "--initial-cluster", f"default={peer}"),
        ],
        [
            *(server, "--etcd-servers", etcd_here, "--bind-address", "127.0.0.1"),
            *("--secure-port", str(port), "--client-ca-file", authority.file),
            *("--tls-cert-file", certificate, "--tls-private-key-file", key),
            *("--kubeconfig", others, "--authentication-kubeconfig", others),
            *("--authorization-kubeconfig", others, "--authentication-skip-lookup"),
            *("--disable-admission-plugins", _ADMISSION_OF_OTHERS),
        ],
    )
    with ExitStack() as ending:
        for command in commands:
            ending.enter_context(_running([str(word) for word in command], home))
        client = ending.enter_context(httpx.Client(base_url=here, verify=trusted, timeout=30))
        found = ApiServer(client)
        found.wait()
        yield found


def _kubeconfig(server: str, authority: Path) -> dict[str, Any]:
    """Return the kubeconfig of the server that tells who may do what; our client may do all."""
    cluster = {"server": server, "certificate-authority": str(authority)}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "here", "cluster": cluster}],
        "users": [{"name": "nobody", "user": {}}],
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "nobody"}}],
        "current-context": "here",
    }


@contextmanager
def _running(command: list[str], home: Path) -> Iterator[None]:
    log = home / f"{Path(command[0]).name}.log"
    with log.open("wb") as printed:
        process = subprocess.Popen(command, stdout=printed, stderr=printed, cwd=home)
        try:
            yield
        finally:
            process.terminate()
            process.wait(timeout=30)
