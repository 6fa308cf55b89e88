"""How clients reach pods: by a Service, which sends each connection to one that is ready."""

import json
import random
import time
from collections.abc import Callable, Sequence

import httpx
from tritonclient.grpc import InferenceServerClient
from tritonclient.utils import InferenceServerException

from tests.hosts.kubelet import Pod
from tests.hosts.records import Attempt, Seen
from visionops_assets.resources.triton import CHANNEL_OPTIONS
from visionops_assets.resources.triton_answers import ServedAnswer, image_input, read_answer
from visionops_client.retrying import TemporaryError

CONNECT_TIMEOUT_S = 1.0
ROUND_ROBIN = {
    "loadBalancingConfig": [{"round_robin": {}}],
    "methodConfig": [
        {
            "name": [{"service": "inference.GRPCInferenceService", "method": "ModelInfer"}],
            "retryPolicy": {
                "maxAttempts": 3,
                "initialBackoff": "0.1s",
                "maxBackoff": "1s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ],
}
"""How gRPC itself asks another server when one is gone: a prediction is only a question.

https://grpc.io/docs/guides/retry/
"""


class ServiceTransport(httpx.BaseTransport):
    """A Service of one kind of pod: a connection each request, to any endpoint.

    One that is not accepted goes to another endpoint, as by a proxy: nothing was sent yet.
    """

    def __init__(self, door: str, port: int, find: Callable[[], Sequence[Pod]], seen: Seen) -> None:
        self._door = door
        self._port = port
        self._find = find
        self._seen = seen
        self._http = httpx.HTTPTransport(limits=httpx.Limits(max_keepalive_connections=0))

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request to an endpoint that accepts it."""
        request.extensions["timeout"] |= {"connect": CONNECT_TIMEOUT_S}
        left = list(self._find())
        random.shuffle(left)
        for pod in left:
            try:
                return self._send(request, pod)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                self._seen.refused_connections += 1
        now_s = time.monotonic()
        said = f"none of {len(left)} endpoints accepts a connection"
        names = frozenset(pod.name for pod in left)
        self._seen.attempts.append(Attempt(self._door, names, now_s, now_s, said))
        raise httpx.ConnectError(said, request=request)

    def close(self) -> None:
        """Close it."""
        self._http.close()

    def _send(self, request: httpx.Request, pod: Pod) -> httpx.Response:
        address = {"host": pod.address, "port": self._port}
        sent = httpx.Request(
            request.method,
            request.url.copy_with(**address),
            headers=request.headers,
            stream=request.stream,
            extensions=request.extensions,
        )
        began_at_s = time.monotonic()
        try:
            response = self._http.handle_request(sent)
            content = response.read()
        except (httpx.ConnectError, httpx.ConnectTimeout):
            raise
        except httpx.TransportError as error:
            self._note(pod, began_at_s, repr(error))
            raise
        failure = None if response.is_success else f"{response.status_code}: {content[:200]!r}"
        self._note(pod, began_at_s, failure)
        return response

    def _note(self, pod: Pod, began_at_s: float, failure: str | None) -> None:
        pods = frozenset({pod.name})
        self._seen.attempts.append(Attempt(self._door, pods, began_at_s, time.monotonic(), failure))


class TritonDoor:
    """Triton over gRPC, by one channel to all of its pods that asks one after the other."""

    def __init__(
        self, door: str, port: int, pods: Sequence[Pod], model: str, timeout_s: float, seen: Seen
    ) -> None:
        self._door = door
        self._pods = frozenset(pod.name for pod in pods)
        self._model = model
        self._timeout_s = timeout_s
        self._seen = seen
        addresses = ",".join(f"{pod.address}:{port}" for pod in pods)
        options = [*CHANNEL_OPTIONS, ("grpc.service_config", json.dumps(ROUND_ROBIN))]
        self._client = InferenceServerClient(f"ipv4:{addresses}", channel_args=options)

    def ask(self, image: bytes) -> ServedAnswer:
        """Ask once.

        Raises:
            TemporaryError: there is no answer.
        """
        began_at_s = time.monotonic()
        try:
            result = self._client.infer(
                self._model, [image_input(image)], client_timeout=self._timeout_s
            )
        except InferenceServerException as error:
            self._note(began_at_s, str(error))
            raise TemporaryError(str(error)) from error
        self._note(began_at_s, None)
        return read_answer(result.as_numpy, "classification")

    def close(self) -> None:
        """Close the channel."""
        self._client.close()

    def _note(self, began_at_s: float, failure: str | None) -> None:
        self._seen.attempts.append(
            Attempt(self._door, self._pods, began_at_s, time.monotonic(), failure)
        )
