"""The overlay of GKE: what Google's servers would not take. None of them was met."""

import os
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from tests.deploy.manifests import config_map, containers, of_kind, pod, pod_labels, workloads

STORE = {
    ("AWS_ACCESS_KEY_ID", "access_key_id"),
    ("AWS_SECRET_ACCESS_KEY", "secret_access_key"),
    ("VISIONOPS_S3_ACCESS_KEY_ID", "access_key_id"),
    ("VISIONOPS_S3_SECRET_ACCESS_KEY", "secret_access_key"),
}
WRITE = """
import boto3
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.resources.tables import store_client
from visionops_assets.settings import load_settings
ObjectStore().put("media", b"x")
store_client(load_settings()).put_object(Bucket="b", Key="table", Body=b"x")
boto3.client("s3").put_object(Bucket="b", Key="printed", Body=b"x")
"""


def fetched(overlay: str) -> set[tuple[str, str, str, str]]:
    """Return what is fetched: Secret, key in it, secret of the cloud, field of that."""
    return {
        (name, entry["secretKey"], entry["remoteRef"]["key"], entry["remoteRef"]["property"])
        for name, secret in of_kind(overlay, "ExternalSecret").items()
        for entry in secret["spec"]["data"]
    }


def test_secrets_are_those_of_staging_under_names_that_secret_manager_takes() -> None:
    expected = {(n, key, secret.replace("/", "-"), f) for n, key, secret, f in fetched("staging")}
    store = {("visionops", key, "visionops-store", field) for key, field in STORE}
    assert fetched("gke") == expected | store


def test_who_reaches_the_store_has_its_keys() -> None:
    for name, workload in workloads("gke").items():
        if pod_labels(workload).get("visionops/reaches-s3") != "true":
            continue
        given = [
            {variable["name"] for variable in container.get("env", [])}
            for container in containers(pod(workload))
        ]
        keys = {"VISIONOPS_S3_ACCESS_KEY_ID", "VISIONOPS_S3_SECRET_ACCESS_KEY"}
        assert any(keys <= names for names in given), name


@pytest.fixture
def store() -> Iterator[tuple[str, list[dict[str, str]]]]:
    """Serve an address where everything can be written; return it and the headers that came."""
    came: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            came.append({name.lower(): value for name, value in self.headers.items()})
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(200)
            self.send_header("ETag", '"x"')
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", came
        server.shutdown()
        thread.join()


def test_nothing_is_sent_that_googles_store_refuses(
    store: tuple[str, list[dict[str, str]]],
) -> None:
    """It takes neither Amazon's checksums nor bodies in signed chunks."""
    address, came = store
    settings = config_map("gke", "visionops")
    local = {name: address for name, value in settings.items() if value.endswith("googleapis.com")}
    assert local
    keys = {name: "key" for name, _ in STORE}
    done = subprocess.run(
        [sys.executable, "-c", WRITE],
        env={"PATH": os.environ["PATH"], **settings, **local, **keys},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert len(came) == 3
    for headers in came:
        refused = {n for n in headers if n.startswith(("x-amz-checksum", "x-amz-sdk-checksum"))}
        assert refused == set()
        assert "aws-chunked" not in headers.get("content-encoding", "")
        assert "STREAMING" not in headers["x-amz-content-sha256"]
        assert "/auto/s3/aws4_request" in headers["authorization"]
