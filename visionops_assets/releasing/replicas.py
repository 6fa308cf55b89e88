"""Brings every Triton server from one version of a model to another, or leaves all as they were.

A new version is rehearsed first, on every server: loaded under another name and tested, so that a
version that loads but answers wrongly never answers a client. Then one server is switched, and then
the others; each serves the old version until the new one is ready.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import TypeVar

from visionops_assets.contracts import Role
from visionops_assets.crash_points import CrashPoint, crash_point
from visionops_assets.errors import (
    DeadlineExceededError,
    ReleaseError,
    ServerUnreachableError,
    VisionOpsError,
)
from visionops_assets.releasing.engines import Engine
from visionops_assets.releasing.replica import Replica, Version
from visionops_assets.releasing.repository import ModelRepository
from visionops_assets.releasing.smoke import SmokeTest
from visionops_assets.resources.triton import TritonServer

MAX_AT_ONCE = 16

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Followed:
    """One server beside an engine: the kind of GPU if it was to serve by one, and what it did.

    It serves by the engine if nothing is said of it.
    """

    gpu: str | None
    said: str | None
    is_refused: bool = False


class Replicas:
    """All Triton servers, in serving one model."""

    def __init__(
        self, repository: ModelRepository, servers: Sequence[TritonServer], model_name: str
    ) -> None:
        self._repository = repository
        self._replicas = [Replica(server, model_name, repository) for server in servers]
        self._model_name = model_name

    def promote(self, new: Version, previous_version: int | None) -> SmokeTest:
        """Serve a version on every server, after a rehearsal on each.

        Raises:
            ReleaseError: one fails or does not answer; `previous_version` serves as before.
        """
        try:
            _on_each(self._replicas, lambda replica: replica.rehearse(new))
        except VisionOpsError as error:
            raise ReleaseError(
                f"{self._model_name} {new.number} failed its rehearsal, so what served before "
                f"serves on: {error}"
            ) from error
        crash_point(CrashPoint.RELEASE_REHEARSED)
        return self._switch(self._replicas, new, previous_version)

    def roll_back(self, to: Version, previous_version: int) -> SmokeTest:
        """Serve a version that served before on every server that answers, unrehearsed.

        A server that is down must not keep the others at a bad version: `converge` switches it once
        it is back.

        Raises:
            ReleaseError: it fails, or no server answers; `previous_version` serves as before.
        """
        _ = to.files  # Untrusted files are refused before anything is touched.
        answering = [replica for replica in self._replicas if _answers(replica)]
        if not answering:
            raise ReleaseError("No Triton server answers.")
        return self._switch(answering, to, previous_version)

    def load_candidate(self, candidate: Version, role: Role) -> SmokeTest:
        """Load a canary or shadow beside the champion on every server, and test it there.

        Raises:
            ReleaseError: one fails or does not answer; it is loaded on none.
        """
        try:
            measured = _on_each(self._replicas, lambda r: r.load_candidate(candidate, role))
        except BaseException as error:
            left = " ".join(self.unload_candidate())
            if not isinstance(error, Exception):
                raise
            raise ReleaseError(
                f"{self._model_name} {candidate.number} is not tried: {error} {left}".rstrip()
            ) from error
        return SmokeTest.of(list(chain.from_iterable(measured)))

    def converge(self, champion: Version) -> list[str]:
        """Make every server serve the champion; name those that did not, or do not answer.

        A server does not serve it after a restart, or after a release that died halfway.
        """
        found = self.forget_rehearsals()
        return found + _reach_all(self._replicas, lambda replica: replica.converge(champion))

    def forget_rehearsals(self) -> list[str]:
        """Unload the remains of releases that died; name the servers that do not answer."""
        return _reach_all(self._replicas, lambda replica: replica.forget_rehearsal())

    def forget_steps(self, kept: Collection[int]) -> list[str]:
        """Unload the steps of other versions' ensembles; name the servers that do not answer."""
        self._repository.forget_asked(kept)
        return _reach_all(self._replicas, lambda replica: replica.forget_steps(kept))

    def follow_engines(
        self, version: Version, engine_by_gpu: Mapping[str, Engine], gpus: Sequence[str]
    ) -> list[Followed]:
        """Serve the champion's network by the engine of each server's GPU, or else by ONNX."""

        def follow(replica: Replica) -> Followed:
            gpu = None
            try:
                gpu = replica.kind(gpus)
                engine = engine_by_gpu.get(gpu) if gpu else None
                return Followed(gpu if engine else None, replica.follow_engine(version, engine))
            except ReleaseError as error:
                return Followed(gpu, f"{replica.address}: {error}", is_refused=True)
            except VisionOpsError as error:
                return Followed(None, str(error))

        return _on_each(self._replicas, follow)

    def converge_candidate(self, candidate: Version, role: Role) -> list[str]:
        """Load a canary or shadow on servers that lost it; name them, and silent servers."""
        return _reach_all(self._replicas, lambda r: r.converge_candidate(candidate, role))

    def unload_candidate(self) -> list[str]:
        """Unload a canary or shadow everywhere; name the servers that had it, or do not answer."""
        return _reach_all(self._replicas, lambda replica: replica.unload_candidate())

    def _switch(
        self, replicas: Sequence[Replica], new: Version, previous_version: int | None
    ) -> SmokeTest:
        try:
            first, *others = replicas
            latencies_ms = first.serve_and_test(new)
            crash_point(CrashPoint.RELEASE_SWITCHED)
            latencies_ms += chain.from_iterable(_on_each(others, lambda r: r.serve_and_test(new)))
            _on_each(replicas, lambda replica: replica.check_serves(new.number))
        except BaseException as error:
            outcome = self._restore(replicas, previous_version)
            if not isinstance(error, Exception):
                raise
            raise ReleaseError(
                f"{self._model_name} {new.number} was not released: {error} {outcome}"
            ) from error
        return SmokeTest.of(latencies_ms)

    def _restore(self, replicas: Sequence[Replica], previous_version: int | None) -> str:
        """Go back to the version that served, and say how that went."""
        try:
            if previous_version is None:
                left = _reach_all(replicas, lambda replica: replica.serve_nothing())
            else:
                read = partial(self._repository.read, previous_version)
                previous = Version(previous_version, read)
                left = _reach_all(replicas, lambda replica: replica.serve(previous))
        except VisionOpsError as error:
            left = [str(error)]
        if left:
            return f"Going back failed too, and is tried again every few seconds: {' '.join(left)}"
        if previous_version is None:
            return "Nothing is served."
        return f"Version {previous_version} serves as before."


def _on_each(replicas: Sequence[Replica], act: Callable[[Replica], _Result]) -> list[_Result]:
    """Act on all at once; when all are done, raise the first error."""
    with ThreadPoolExecutor(MAX_AT_ONCE, "replica") as pool:
        return list(pool.map(act, replicas))


def _reach_all(replicas: Sequence[Replica], act: Callable[[Replica], str | None]) -> list[str]:
    """Act on all at once; return their results, and the errors of those that failed."""

    def reach(replica: Replica) -> str | None:
        try:
            return act(replica)
        except VisionOpsError as error:
            return str(error)

    return [said for said in _on_each(replicas, reach) if said is not None]


def _answers(replica: Replica) -> bool:
    try:
        replica.served_version()
    except (ServerUnreachableError, DeadlineExceededError):
        # The second stands for a server whose host vanished.
        return False
    return True
