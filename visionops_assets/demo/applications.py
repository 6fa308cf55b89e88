"""The applications of the drift demo: they never stop asking, and label each answer later."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count

from visionops_assets.demo.media import DemoFile
from visionops_assets.errors import VisionOpsError
from visionops_client.gateway import GatewayClient

WORKERS = 4
REQUESTS_HZ = 20.0
"""Requests per second of all threads: few enough to leave the cores to training."""
STICKY_KEYS = 200
KEPT_ONE_IN = 4
"""One in this many images is kept while `keeps_images`, to be trained on once labelled."""


@dataclass(frozen=True)
class Seen:
    """One answer: its time (monotonic, in seconds), its version, and whether it was right."""

    at_s: float
    model_version: int
    right: bool
    drawn: bool
    """Whether its label counts for accuracy and the alarm."""


class Applications:
    """Sends the images of `next_image` through the gateway, and then a label for each.

    A failed request is never repeated, so that each failure is counted.
    """

    def __init__(self, gateway: GatewayClient, next_image: Callable[[], DemoFile]) -> None:
        self._gateway = gateway
        self._next_image = next_image
        self.keeps_images = True
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._numbers = count()
        self._seen: list[Seen] = []
        self._failures: list[str] = []

    @contextmanager
    def running(self) -> Iterator["Applications"]:
        """Go on asking for the length of the block."""
        workers = [threading.Thread(target=self._work, name=f"app-{n}") for n in range(WORKERS)]
        for worker in workers:
            worker.start()
        try:
            yield self
        finally:
            self._stopping.set()
            for worker in workers:
                worker.join()

    @property
    def seen(self) -> Sequence[Seen]:
        """Return all answers so far, in the order in which they came."""
        with self._lock:
            return tuple(self._seen)

    @property
    def failures(self) -> Sequence[str]:
        """Return the error of each request that failed."""
        with self._lock:
            return tuple(self._failures)

    def _work(self) -> None:
        while not self._stopping.wait(WORKERS / REQUESTS_HZ):
            try:
                self._ask()
            except VisionOpsError as error:
                with self._lock:
                    self._failures.append(str(error))

    def _ask(self) -> None:
        with self._lock:
            number, file = next(self._numbers), self._next_image()
        answer = self._gateway.predict(
            file.data,
            sticky_key=f"application-{number % STICKY_KEYS}",
            keep_image=self.keeps_images and number % KEPT_ONE_IN == 0,
        )
        right = answer.label == file.label
        seen = Seen(time.monotonic(), answer.model_version, right, answer.drawn)
        with self._lock:
            self._seen.append(seen)
        # It labels each answer, right or wrong, and so those that were drawn.
        self._gateway.label(answer.prediction_id, str(file.label), answers_draw=True)
