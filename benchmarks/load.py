"""The same load on every server: h2load, which costs little of the two cores that all share.

It sends one request again and again, over HTTP/2 for gRPC and over HTTP/1.1 for the others.
"""

import re
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tritonclient.grpc import service_pb2

from visionops_assets.errors import VisionOpsError

MAX_WINDOW_BITS = 26
CONNECTIONS = 8


@dataclass(frozen=True)
class Target:
    """One server, and the request it is to answer."""

    url: str
    body: bytes
    headers: Mapping[str, str]
    is_grpc: bool = False


def triton_target(grpc_address: str, model: str, image: bytes) -> Target:
    """Ask Triton for what the others answer too: the label and the probabilities of one image."""
    request = service_pb2.ModelInferRequest(model_name=model)
    for output in ("LABEL", "PROBABILITIES"):
        request.outputs.add(name=output)
    request.inputs.add(name="IMAGE", datatype="BYTES", shape=[1, 1])
    request.raw_input_contents.append(struct.pack("<I", len(image)) + image)
    message = request.SerializeToString()
    return Target(
        f"http://{grpc_address}/inference.GRPCInferenceService/ModelInfer",
        b"\0" + struct.pack(">I", len(message)) + message,
        {"content-type": "application/grpc", "te": "trailers"},
        is_grpc=True,
    )


def rate_hz(target: Target, requests: int, in_flight: int) -> float:
    """Send requests, `in_flight` at once, and return the answers per second.

    Raises:
        VisionOpsError: h2load is not installed, or an answer was not a success.
    """
    return requests / _h2load(target, requests, in_flight)[0]


def latency_quantile_ms(
    target: Target, requests: int, arrivals_hz: float, quantile: float
) -> float:
    """Send requests at a steady rate, and return a quantile (0..1) of their latencies."""
    with tempfile.NamedTemporaryFile(prefix="visionops-", suffix=".log") as log:
        each_hz = max(1, round(arrivals_hz / CONNECTIONS))
        _h2load(target, requests, CONNECTIONS * 4, f"--rps={each_hz}", f"--log-file={log.name}")
        # Each line: start in microseconds, status, latency in microseconds (and more for gRPC).
        lines = [line.split() for line in Path(log.name).read_text().splitlines()]
    latencies_ms = sorted(int(line[2]) / 1000 for line in lines)
    return latencies_ms[min(len(latencies_ms) - 1, int(quantile * len(latencies_ms)))]


def _h2load(target: Target, requests: int, in_flight: int, *options: str) -> tuple[float, str]:
    """Return the seconds it took, and what h2load said."""
    program = shutil.which("h2load")
    if program is None:
        raise VisionOpsError("h2load is not installed: apt-get install nghttp2-client.")
    connections = min(in_flight, CONNECTIONS)
    protocol = (
        # One stream window must hold a whole request, or each waits for the server's update.
        [f"-m{max(1, in_flight // connections)}", f"-w{MAX_WINDOW_BITS}", f"-W{MAX_WINDOW_BITS}"]
        if target.is_grpc
        else ["--h1"]
    )
    if not target.is_grpc:
        connections = in_flight
    with tempfile.NamedTemporaryFile(prefix="visionops-") as body:
        body.write(target.body)
        body.flush()
        done = subprocess.run(
            [
                program,
                f"-n{requests}",
                f"-c{connections}",
                *protocol,
                *options,
                f"-d{body.name}",
                *(f"-H{name}: {value}" for name, value in target.headers.items()),
                target.url,
            ],
            capture_output=True,
            text=True,
            check=False,
        )
    finished = re.search(r"finished in ([\d.]+)(ms|s|us)", done.stdout)
    succeeded = re.search(r"(\d+) succeeded", done.stdout)
    if not finished or not succeeded or int(succeeded[1]) != requests:
        raise VisionOpsError(f"{target.url} did not answer each request: {done.stdout[-400:]}")
    seconds = float(finished[1]) * {"s": 1, "ms": 1e-3, "us": 1e-6}[finished[2]]
    return seconds, done.stdout
