"""The canary or shadow under way, as one gateway knows it, and its counts of both arms.

A thread of its own asks the catalog and reports to it, so that no request ever waits for the
catalog. Not here: its effect on a request (`predictor.py`), and the verdict of the release
controller.
"""

import hashlib
import logging
import os
import random
import socket
import threading
import time
from collections.abc import Callable
from copy import deepcopy
from uuid import uuid4

from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.rollouts import ArmEvidence, active_rollout, put_evidence
from visionops_assets.contracts import Arm, Role, Rollout
from visionops_assets.errors import ServerUnreachableError
from visionops_assets.services.gateway.metrics import GatewayMetrics

POLL_S = 1.0
KEPT_WITHOUT_CATALOG_S = 10.0
"""While the catalog does not answer, a rollout goes on for this time: it may have ended."""
LAST_REPORT_S = 2.0

_log = logging.getLogger(__name__)


def is_picked(rollout: Rollout, key: str) -> bool:
    """Say whether a canary answers this key: `share_percent` of all keys, evenly.

    While the rollout goes on, a key always gets the same version. The next rollout chooses again.
    """
    digest = hashlib.blake2b(f"{rollout.rollout_id}:{key}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) * 100 < rollout.share_percent * 2**64


def is_sampled(rollout: Rollout) -> bool:
    """Say whether a shadow gets this image too: `share_percent` of all images, by chance."""
    return random.random() * 100 < rollout.share_percent  # noqa: S311 - no secret


class Watched:
    """One rollout, and this gateway's counts of both arms."""

    def __init__(self, rollout: Rollout, metrics: GatewayMetrics) -> None:
        self.rollout = rollout
        self.seen = {arm: ArmEvidence() for arm in Arm}
        self._metrics = metrics

    def observe(self, arm: Arm, latency_ms: float) -> None:
        """Count an answer."""
        self.seen[arm].observe(latency_ms)
        self._metrics.count_arm(arm, "answered")

    def fail(self, arm: Arm) -> None:
        """Count a request that was not answered, by a fault of the server."""
        self.seen[arm].fail()
        self._metrics.count_arm(arm, "failed")

    def compare(self, *, agreed: bool) -> None:
        """Count an image that both arms answered."""
        self.seen[Arm.CANDIDATE].compare(agreed=agreed)
        self._metrics.count_arm(Arm.CANDIDATE, "agreed" if agreed else "disagreed")

    def picks(self, key: str) -> bool:
        """Say whether the candidate, a canary, answers the requests with this key."""
        return self.rollout.role is Role.CANARY and is_picked(self.rollout, key)

    def shadows(self) -> bool:
        """Say whether the candidate, a shadow, gets this image too."""
        return self.rollout.role is Role.SHADOW and is_sampled(self.rollout)


class RolloutWatch:
    """Follows the rollouts of one model."""

    def __init__(
        self,
        catalog: Catalog,
        model_name: str,
        metrics: GatewayMetrics,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._catalog = catalog
        self._model_name = model_name
        self._metrics = metrics
        self._clock_s = clock_s
        self._current: Watched | None = None
        self._confirmed_at_s = clock_s()
        self._is_reachable = True
        self._stopping = threading.Event()
        # A process of a pod may have the process id of its predecessor.
        self._replica = f"{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:8]}"
        # A daemon: a catalog that hangs must not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name="rollouts", daemon=True)

    @property
    def current(self) -> Watched | None:
        """Return the rollout under way; None if there is no rollout, or if that is not known."""
        if self._clock_s() > self._confirmed_at_s + KEPT_WITHOUT_CATALOG_S:
            return None
        return self._current

    def start(self) -> None:
        """Begin to follow."""
        self._thread.start()

    def stop(self) -> None:
        """Report for the last time, and end."""
        self._stopping.set()
        self._thread.join(LAST_REPORT_S)

    def exchange(self) -> None:
        """Report the counts, and ask which rollout is under way now.

        Raises:
            ServerUnreachableError: the catalog does not answer.
        """
        watched = self._current
        with self._catalog.begin() as session:
            if watched is not None:
                # A copy: requests go on counting. The next report has their counts.
                seen = deepcopy(watched.seen)
                put_evidence(session, watched.rollout.rollout_id, self._replica, seen)
            found = active_rollout(session, self._model_name)
        if found is None:
            self._current = None
        elif watched is None or watched.rollout.rollout_id != found.rollout_id:
            self._current = Watched(found, self._metrics)
        self._confirmed_at_s = self._clock_s()

    def _run(self) -> None:
        self._try_exchange()
        while not self._stopping.wait(POLL_S):
            self._try_exchange()
        self._try_exchange()

    def _try_exchange(self) -> None:
        try:
            self.exchange()
        except ServerUnreachableError as error:
            if self._is_reachable:
                _log.warning("Rollouts are not known for now: %s", error)
            self._is_reachable = False
        except Exception:  # After any error predictions go on, and the next attempt may work.
            _log.exception("Rollouts could not be followed.")
        else:
            self._is_reachable = True
