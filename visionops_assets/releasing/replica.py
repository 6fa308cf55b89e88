"""One Triton server, in serving one model: as champion, in rehearsal, as canary or shadow."""

import time
from collections.abc import Callable, Collection, Sequence
from functools import cached_property

from visionops_assets.contracts import Role
from visionops_assets.crash_points import CrashPoint, crash_point
from visionops_assets.errors import ReleaseError
from visionops_assets.releasing.engines import Engine
from visionops_assets.releasing.loading import (
    ONNX_FILE,
    engine_loads,
    infer_step,
    is_engine,
    model_loads,
    steps_of,
    takes_engine,
)
from visionops_assets.releasing.manifest import Files
from visionops_assets.releasing.repository import ModelRepository
from visionops_assets.releasing.smoke import read_golden, smoke_test
from visionops_assets.resources.triton import CANDIDATE_SUFFIX, TritonServer

REHEARSAL_SUFFIX = "-rehearsal"
STEPS_PATIENCE_S = 60.0
_STEPS_POLL_S = 0.2


class Version:
    """A version of a model and its folder's files, verified when first needed."""

    def __init__(self, number: int, read: Callable[[], Files]) -> None:
        self.number = number
        self._read = read

    @cached_property
    def files(self) -> Files:
        """Return the contents by file name.

        Raises:
            ReleaseError: the folder is not whole, or not the one that we signed.
        """
        return self._read()


class Replica:
    """One server. Every method raises `ServerUnreachableError` if it does not answer."""

    def __init__(self, server: TritonServer, model_name: str, repository: ModelRepository) -> None:
        self._server = server
        self._repository = repository
        self._model_name = model_name
        self._rehearsal_name = model_name + REHEARSAL_SUFFIX
        self._candidate_name = model_name + CANDIDATE_SUFFIX

    @property
    def address(self) -> str:
        """Return the address that it listens on, `host:port`."""
        return self._server.address

    def kind(self, kinds: Sequence[str]) -> str | None:
        """Return the kind of its GPU: that of its name, or the only one that serves."""
        if len(kinds) == 1:
            return kinds[0]
        name = self._server.given_name()
        return name if name in kinds else None

    def served_version(self) -> int | None:
        """Return the version that it serves as champion."""
        return self._server.served_version(self._model_name)

    def rehearse(self, new: Version) -> None:
        """Load a version under another name, test it, and unload it.

        Raises:
            ReleaseError: it does not load, or answers wrongly.
        """
        try:
            self._load(self._rehearsal_name, new, instances=1)
            crash_point(CrashPoint.RELEASE_REHEARSING)
            self._test(self._rehearsal_name, new)
        finally:
            self._unload(self._rehearsal_name)

    def serve(self, version: Version) -> None:
        """Serve a version in place of another, which answers until this one is ready."""
        if self.served_version() != version.number:
            self._load(self._model_name, version)

    def serve_and_test(self, version: Version) -> list[float]:
        """Load a version, test it, and return the latencies in ms.

        Raises:
            ReleaseError: it does not load, or answers wrongly.
        """
        self._load(self._model_name, version)
        return self._test(self._model_name, version)

    def serve_nothing(self) -> None:
        """Serve no version of the model."""
        self._unload(self._model_name)

    def check_serves(self, version: int) -> None:
        """Check that it serves a version.

        Raises:
            ReleaseError: it does not, since it restarted meanwhile.
        """
        found = self.served_version()
        if found != version:
            raise ReleaseError(f"Triton at {self.address} went back to version {found}.")

    def forget_rehearsal(self) -> None:
        """Unload the remains of a release that died."""
        self._unload(self._rehearsal_name)

    def converge(self, champion: Version) -> str | None:
        """Make it serve the champion; say so if it did not."""
        if self.served_version() == champion.number:
            return None
        self.serve(champion)
        return f"{self.address}: loaded the champion, version {champion.number}, again."

    def forget_steps(self, kept: Collection[int]) -> None:
        """Unload the steps of ensembles of other versions."""
        self._unload_steps(self._model_name, kept)

    def follow_engine(self, version: Version, engine: Engine | None) -> str | None:
        """Serve the network of the served version by an engine, or by ONNX; say so if it did not.

        Raises:
            ReleaseError: it does not load the engine, or answers wrongly by it; ONNX serves.
        """
        served = next(filter(is_engine, self._server.composing_models(self._model_name)), None)
        if engine is None:
            if served is None:
                self._forget_engines(version, kept=None)
                return None
            self._load(self._model_name, version)
            return f"{self.address}: serves version {version.number} by ONNX again."
        if not takes_engine(version.files):
            raise ReleaseError(
                f"Version {version.number} was not released as an ensemble around ONNX, in which "
                "alone an engine has a place: see VISIONOPS_SERVING_LAYOUT."
            )
        step = engine.step_of(infer_step(version.files))
        if served == step:
            self._forget_engines(version, kept=step)
            return None
        plan = engine.plan_for(version.files[ONNX_FILE])
        if step not in self._server.known_models():
            return f"{self.address}: {step} is not beside it yet; its keeper brings it."
        self._take_engine(version, step, plan)
        return f"{self.address}: serves version {version.number} by its engine."

    def _take_engine(self, version: Version, step: str, plan: bytes) -> None:
        """Load an engine, rehearse the ensemble with it, and switch to it."""
        network, rehearsal = engine_loads(
            version.files, self._rehearsal_name, version.number, step, plan
        )
        _, ensemble = engine_loads(version.files, self._model_name, version.number, step, plan)
        self._server.load(network.name, network.config, network.files)
        try:
            self._server.load(rehearsal.name, rehearsal.config, rehearsal.files)
            self._test(self._rehearsal_name, version)
        finally:
            self._unload(self._rehearsal_name)
        self._server.load(ensemble.name, ensemble.config, ensemble.files)

    def _forget_engines(self, version: Version, kept: str | None) -> None:
        """Unload engines of a version that it is no longer served by."""
        for step in steps_of(self._model_name, self._server.loaded_models()):
            if is_engine(step) and int(step.split("-")[-2]) == version.number and step != kept:
                self._server.unload(step)

    def load_candidate(self, candidate: Version, role: Role) -> list[float]:
        """Load a canary or shadow beside the champion, test it, and return the latencies in ms.

        Raises:
            ReleaseError: it does not load, or answers wrongly.
        """
        self._load(self._candidate_name, candidate, role=role)
        return self._test(self._candidate_name, candidate)

    def converge_candidate(self, candidate: Version, role: Role) -> str | None:
        """Make it serve a canary or shadow; say so if it did not."""
        if self._server.served_version(self._candidate_name) == candidate.number:
            return None
        self._load(self._candidate_name, candidate, role=role)
        return f"{self.address}: loaded the {role.value}, version {candidate.number}, again."

    def unload_candidate(self) -> str | None:
        """Unload a canary or shadow; say so if there was one."""
        if not self._unload(self._candidate_name):
            return None
        return f"{self.address}: unloaded the canary or shadow that is over."

    def _load(
        self, name: str, version: Version, instances: int | None = None, role: Role | None = None
    ) -> None:
        loads = model_loads(version.files, name, version.number, instances=instances, role=role)
        self._await_steps(version, {load.name for load in loads[:-1]})
        for load in loads:
            self._server.load(load.name, load.config, load.files)

    def _await_steps(self, version: Version, steps: set[str]) -> None:
        """Let the keeper lay the steps of an ensemble out beside the server, and wait for them.

        Raises:
            ReleaseError: they are not there in time.
        """
        if not steps:
            return
        self._repository.ask_for_steps(version.number)
        deadline = time.monotonic() + STEPS_PATIENCE_S
        while missing := steps - set(self._server.known_models()):
            if time.monotonic() > deadline:
                raise ReleaseError(
                    f"Triton at {self.address} does not find {', '.join(sorted(missing))}. Does "
                    "its keeper run? See `visionops logs keeper`."
                )
            time.sleep(_STEPS_POLL_S)

    def _unload(self, name: str) -> bool:
        is_loaded = self._server.served_version(name) is not None
        if is_loaded:
            self._server.unload(name)
        self._unload_steps(name, kept=())
        return is_loaded

    def _unload_steps(self, name: str, kept: Collection[int]) -> None:
        """Unload the steps of an ensemble's versions; a single model has none."""
        for step in steps_of(name, self._server.loaded_models()):
            if int(step.split("-")[-2]) not in kept:
                self._server.unload(step)

    def _test(self, name: str, version: Version) -> list[float]:
        return smoke_test(self._server, name, version.number, read_golden(version.files))
