"""Clients that ask all the while: uploads to ingest, predictions of the gateways and of Triton."""

import hashlib
import random
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from itertools import count
from uuid import UUID

import numpy as np
from pydantic import SecretStr

from tests.chaos.records import Acknowledged
from tests.hosts.doors import ServiceTransport, TritonDoor
from tests.hosts.kubelet import Kubelet
from tests.hosts.records import Answered, Seen
from tests.integration.released_models import IMAGE, Probabilities
from visionops_assets.errors import VisionOpsError
from visionops_assets.vision.preprocessing import encode_frame
from visionops_client.gateway import GatewayClient
from visionops_client.ingest import IngestClient
from visionops_client.retrying import Retrying

INGEST, GATEWAY, TRITON = "ingest", "gateway", "triton"
DOORS = (INGEST, GATEWAY, TRITON)
PORTS = {INGEST: 8080, GATEWAY: 8081, TRITON: 8001}
ANSWER_TIMEOUT_S = 12.0
"""Longer than the gateway lets a prediction take."""
PATIENCE_S = 60.0
SLOW_UPLOAD_S = 0.5
SOURCE = "hosts"


class SlowContent:
    """Bytes that come in two parts, so that an upload is often under way when something dies."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size_bytes = len(data)

    def chunks(self, start: int = 0, stop: int | None = None) -> Generator[bytes, None, None]:
        """Yield the bytes from `start` to `stop`, the second half later."""
        data = self._data[start:stop]
        yield data[: len(data) // 2]
        time.sleep(SLOW_UPLOAD_S)
        yield data[len(data) // 2 :]


class Load:
    """All clients, each a thread that pauses for `pause_s` in the mean after each request.

    `expected` are the probabilities of `IMAGE` by version.
    """

    def __init__(
        self,
        kubelet: Kubelet,
        key: SecretStr,
        model: str,
        expected: Mapping[int, Probabilities],
        pause_s: float,
    ) -> None:
        self.seen = Seen()
        self._kubelet = kubelet
        self._key = key
        self._model = model
        self._expected = expected
        self._pause_s = pause_s
        self._numbers = count()
        self._stopping = threading.Event()

    @contextmanager
    def running(self) -> Iterator[Seen]:
        """Ask for the length of the block; what is under way at its end is finished."""
        with ExitStack() as stack:
            ingest = stack.enter_context(self._ingest())
            gateway = stack.enter_context(self._gateway())
            triton = stack.enter_context(closing(self._triton()))
            retrying = Retrying(PATIENCE_S)
            clients: list[Callable[[], None]] = [
                *[lambda: self._upload(ingest, is_slow=False)] * 4,
                *[lambda: self._upload(ingest, is_slow=True)] * 2,
                *[lambda: self._ask_gateway(gateway)] * 3,
                *[lambda: self._ask_triton(triton, retrying)] * 2,
            ]
            threads = [threading.Thread(target=self._repeat, args=(act,)) for act in clients]
            for thread in threads:
                thread.start()
            try:
                yield self.seen
            finally:
                self._stopping.set()
                for thread in threads:
                    thread.join()

    def _repeat(self, act: Callable[[], None]) -> None:
        while not self._stopping.wait(random.expovariate(1 / self._pause_s)):
            try:
                act()
            except VisionOpsError as error:
                self.seen.given_up.append(str(error))

    def _ingest(self) -> IngestClient:
        return IngestClient(
            "http://ingest:8080",
            self._key,
            timeout_s=ANSWER_TIMEOUT_S,
            retry_for_s=PATIENCE_S,
            transport=self._service(INGEST),
        )

    def _gateway(self) -> GatewayClient:
        return GatewayClient(
            "http://gateway:8081",
            self._key,
            timeout_s=ANSWER_TIMEOUT_S,
            retry_for_s=PATIENCE_S,
            transport=self._service(GATEWAY),
        )

    def _service(self, kind: str) -> ServiceTransport:
        return ServiceTransport(kind, PORTS[kind], lambda: self._kubelet.endpoints(kind), self.seen)

    def _triton(self) -> TritonDoor:
        pods = self._kubelet.expected(TRITON)
        return TritonDoor(TRITON, PORTS[TRITON], pods, self._model, ANSWER_TIMEOUT_S, self.seen)

    def _upload(self, client: IngestClient, *, is_slow: bool) -> None:
        number = next(self._numbers)
        data = encode_frame(np.random.default_rng(number).integers(0, 256, (24, 24, 3), np.uint8))
        key = f"upload-{number}"
        content = SlowContent(data) if is_slow else data
        # One of ten clients asks again, as one does that crashed before it noted the answer.
        for _ in range(1 + (number % 10 == 0)):
            receipt = client.upload(content, source=SOURCE, idempotency_key=key)
            self.seen.acknowledged.append(
                Acknowledged(
                    media_id=receipt.media_id,
                    source=SOURCE,
                    sha256=hashlib.sha256(data).hexdigest(),
                    acknowledged_at_s=time.time(),
                    is_decodable=True,
                    idempotency_key=key,
                    answer=receipt.model_dump_json(),
                )
            )

    def _ask_gateway(self, client: GatewayClient) -> None:
        answer = client.predict(IMAGE)
        self._take(answer.prediction_id, answer.model_version, list(answer.probabilities.values()))

    def _ask_triton(self, door: TritonDoor, retrying: Retrying) -> None:
        answer = retrying.call(lambda: door.ask(IMAGE))
        self._take(answer.prediction_id, answer.model_version, answer.probabilities)

    def _take(self, prediction_id: UUID, version: int, probabilities: Sequence[float]) -> None:
        self.seen.predictions.append(Answered(prediction_id, time.monotonic()))
        self.seen.mixed += not np.allclose(self._expected[version], probabilities, atol=1e-5)
