"""The part of Kubernetes' API that starts Jobs, with a node that a test plays. Speaks HTTP."""

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from visionops_assets.resources.kubernetes_jobs import KubernetesJobs

Manifest = dict[str, Any]
_JOBS = re.compile(r"/apis/batch/v1/namespaces/visionops/jobs(?:/(?P<name>[^/?]+))?")
_PODS = "/api/v1/namespaces/visionops/pods"


@dataclass
class Cluster:
    """Jobs by name, their pods, and what is asked. `node` is called with each new Job."""

    jobs: dict[str, Manifest] = field(default_factory=dict)
    pods: dict[str, Manifest] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    node: Callable[[Manifest], None] = lambda _job: None
    fails_with: int | None = None

    def pod(self, job: Manifest, **status: Any) -> None:
        """Give a Job a pod with this status."""
        self.pods[job["metadata"]["name"]] = {
            "metadata": {"name": "p", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"nodeName": "gpu-1", "containers": []},
            "status": status,
        }

    def end(self, job: Manifest, kind: str, message: str, reason: str = "") -> None:
        """Let a Job end as `kind`, Complete or Failed, with its container's last message."""
        ended = {"exitCode": int(kind == "Failed"), "message": message}
        status = {"name": "builder", "state": {"terminated": ended}} | _UNUSED
        self.pod(job, phase="Succeeded", containerStatuses=[status])
        condition = {"type": kind, "status": "True", "message": reason}
        self.jobs[job["metadata"]["name"]]["status"] = {"conditions": [condition]}

    def answer(self, method: str, path: str, body: Manifest | None) -> tuple[int, Manifest]:
        """Answer one request."""
        self.asked.append(f"{method} {path}")
        if self.fails_with is not None:
            return self.fails_with, {"message": "the API server says no"}
        if path.startswith(_PODS):
            name = path.partition("job-name%3D")[2] or path.partition("job-name=")[2]
            return 200, {"items": [self.pods[name]] if name in self.pods else []}
        found = _JOBS.fullmatch(path)
        assert found, path
        if body is not None:
            if body["metadata"]["name"] in self.jobs:
                return 409, {"message": "already exists"}
            self.jobs[body["metadata"]["name"]] = body
            self.node(body)
            return 201, body
        job = self.jobs.get(found["name"])
        return (200, job) if job else (404, {"message": "not found"})


_UNUSED = {"image": "i", "imageID": "i", "ready": False, "restartCount": 0}
"""Fields of a container's status that Kubernetes always writes."""


@contextmanager
def kubernetes_api() -> Iterator[tuple[Cluster, KubernetesJobs]]:
    """Serve a cluster without Jobs."""
    cluster = Cluster()

    class Handler(BaseHTTPRequestHandler):
        def _do(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            status, said = cluster.answer(self.command, self.path, body)
            data = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = _do  # noqa: N815 - names of the library

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}"
        yield cluster, KubernetesJobs(api_url=url, namespace="visionops")
        server.shutdown()
        thread.join()
