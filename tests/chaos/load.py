"""Clients that upload all the while, as real ones do: they retry, repeat and give up."""

import random
import time
from collections import Counter
from itertools import count
from threading import Event, Lock, Thread

from pydantic import SecretStr

from tests.chaos.contents import Kind, Upload, draw_upload
from tests.chaos.records import Acknowledged
from tests.chaos.resumable import ResumableClient
from visionops_assets.errors import RefusedError
from visionops_client.answers import Receipt
from visionops_client.ingest import IngestClient
from visionops_client.retrying import TemporaryError

CLIENTS = 10
SLOW_UPLOADS_PER_S = 1.0
PATIENCE_S = 300.0
ASKED_AGAIN = 0.5
"""Of the uploads with an Idempotency-Key, so many are sent again after their answer."""


class Load:
    """Uploads from several threads until stopped; `answers` are the acknowledgements so far."""

    def __init__(self, url: str, key: SecretStr, seed: int, uploads_per_s: float) -> None:
        self._seed = seed
        self._pause_s = CLIENTS / uploads_per_s
        self._numbers = count()
        self._numbers_lock = Lock()
        self._stop = Event()
        self._patient = IngestClient(url, key, timeout_s=30, retry_for_s=PATIENCE_S)
        self._hasty = IngestClient(url, key, timeout_s=30, retry_for_s=0)
        self._resumable = {
            True: ResumableClient(url, key, retry_for_s=PATIENCE_S),
            False: ResumableClient(url, key, retry_for_s=0),
        }
        self._threads = [Thread(target=self._run, args=(n,)) for n in range(CLIENTS)]
        self.answers: list[Acknowledged] = []
        self.outcomes: Counter[str] = Counter()
        self.surprises: list[str] = []
        """Answers that should not be: good files refused, bad ones taken."""

    @property
    def acknowledged(self) -> int:
        """How many media files were acknowledged up to now."""
        return len({answer.media_id for answer in self.answers.copy()})

    def start(self) -> None:
        """Let the clients begin."""
        for thread in self._threads:
            thread.start()

    def slow_down(self) -> None:
        """Go on with a fraction of the uploads: enough for crash points to be passed."""
        self._pause_s = max(self._pause_s, CLIENTS / SLOW_UPLOADS_PER_S)

    def stop(self) -> None:
        """Let uploads under way be answered; what waits for its next attempt is given up."""
        self._stop.set()
        for whole in (self._patient, self._hasty):
            whole.stop_retrying()
        for in_parts in self._resumable.values():
            in_parts.stop_retrying()
        for thread in self._threads:
            thread.join()
        for whole in (self._patient, self._hasty):
            whole.close()
        for in_parts in self._resumable.values():
            in_parts.close()

    def _run(self, client: int) -> None:
        rng = random.Random(f"{self._seed}-client-{client}")
        while not self._stop.wait(rng.expovariate(1 / self._pause_s)):
            with self._numbers_lock:
                number = next(self._numbers)
            self._perform(draw_upload(self._seed, number))

    def _perform(self, upload: Upload) -> None:
        try:
            self._send(upload)
            outcome = upload.kind.value
        except TemporaryError:
            outcome = "given up"
        except RefusedError as error:
            outcome = "refused"
            if upload.kind is not Kind.REFUSED:
                self.surprises.append(f"upload {upload.number} ({upload.kind}): {error}")
        self.outcomes[outcome] += 1

    def _send(self, upload: Upload) -> None:
        if upload.kind is Kind.RESUMABLE:
            in_parts = self._resumable[upload.is_patient]
            self._note(upload, in_parts.upload(upload.data, upload.source))
            return
        again = random.Random(upload.number).random() < ASKED_AGAIN and upload.idempotency_key
        for _ in range(2 if again else 1):
            client = self._patient if upload.is_patient else self._hasty
            receipt = client.upload(
                upload.data, source=upload.source, idempotency_key=upload.idempotency_key
            )
            self._note(upload, receipt)

    def _note(self, upload: Upload, receipt: Receipt) -> None:
        if upload.kind is Kind.REFUSED:
            self.surprises.append(f"upload {upload.number} is no picture, but was taken")
        self.answers.append(
            Acknowledged(
                media_id=receipt.media_id,
                source=upload.source,
                sha256=upload.sha256,
                acknowledged_at_s=time.time(),
                is_decodable=upload.kind is not Kind.CORRUPT,
                idempotency_key=upload.idempotency_key,
                answer=receipt.model_dump_json(),
            )
        )
