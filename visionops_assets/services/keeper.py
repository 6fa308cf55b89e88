"""The keeper: verifies the files that a Triton server may load, and lays them out beside it.

`python -m visionops_assets.services.keeper`, one for each server. Triton starts after its first
pass: with the champions that the catalog names, or with nothing if it names none. The keeper goes
on: the folder follows the champions, and holds the steps of ensembles that are released.
"""

import logging
import signal
from collections.abc import Sequence
from pathlib import Path
from threading import Event

from sqlalchemy.orm import Session

from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.engines import wanted_engines
from visionops_assets.catalog.releases import champion
from visionops_assets.catalog.rollouts import active_rollout
from visionops_assets.catalog.schema import Release
from visionops_assets.errors import (
    NotFoundError,
    ReleaseError,
    UntrustedArtifactError,
    VisionOpsError,
)
from visionops_assets.models import load_models
from visionops_assets.releasing.engines import Engine
from visionops_assets.releasing.loading import ONNX_FILE, infer_step, is_ensemble, takes_engine
from visionops_assets.releasing.local import LocalRepository
from visionops_assets.releasing.manifest import read_manifest
from visionops_assets.releasing.repository import ModelRepository, asked_versions
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.services.heartbeat import Heartbeat
from visionops_assets.services.logs import configure_logging
from visionops_assets.settings import load_settings, triton_repository

INTERVAL_S = 1.0
"""How long a release of an ensemble waits for its steps."""

_log = logging.getLogger("visionops_assets.services.keeper")

_Key = tuple[str, int, str]
"""A version's model, its number, and the hash of its list of files."""


class Keeper:
    """Keeps one server's folder as the catalog and releases under way want it."""

    def __init__(
        self, catalog: Catalog, store: ObjectStore, repository: Path, model_names: Sequence[str]
    ) -> None:
        self._catalog = catalog
        self._store = store
        self._local = LocalRepository(repository)
        self._model_names = model_names
        # Only of this process: earlier files may come from an earlier version of this code.
        self._champions: dict[str, str] = {}
        self._told: dict[str, str] = {}
        self._steps: dict[_Key, list[str]] = {}
        self._engines: dict[Engine, str | None] = {}

    def run(self, heartbeat: Heartbeat, stop: Event) -> None:
        """Pass until `stop` is set. The first sign of life comes when the folder is as it must be.

        Later ones come whatever a pass meets: the folder stays as it was.
        """
        is_prepared = False
        said = ""
        while not stop.is_set():
            try:
                self.run_once()
                is_prepared, said = True, ""
            except VisionOpsError as error:
                if str(error) != said:
                    _log.warning("left to the next pass: %s", error)
                said = str(error)
            if is_prepared:
                heartbeat.beat()
            stop.wait(INTERVAL_S)

    def run_once(self) -> None:
        """Make the folder hold what is wanted now.

        Raises:
            ServerUnreachableError: the catalog or the object store does not answer.
            ReleaseError: no champion's folder is whole; the local ones stay as they were. If only
                some are not, that is logged, and the others serve.
            UntrustedArtifactError: it is not what we signed or released; likewise.
        """
        with self._catalog.begin() as session:
            found = [champion(session, name) for name in self._model_names]
            champions = [release for release in found if release is not None]
            rollouts = [active_rollout(session, name) for name in self._model_names]
            engines = [each for it in champions for each in self._engines_to_lay_out(session, it)]
        kept = {release.model_name: _kept_versions(release) for release in champions}
        wanted = {(name, number) for name, numbers in kept.items() for number in numbers}
        wanted |= {(each.model_name, each.model_version) for each in rollouts if each is not None}
        self._lay_out_steps(wanted | set(asked_versions(self._store)))
        failed = self._follow_each(champions)
        self._lay_out_engines(engines)
        # Nothing of a model is removed whose champion could not be laid out.
        whole = {step for steps in self._steps.values() for step in steps} | failed.keys()
        whole |= {step for step in self._engines.values() if step is not None}
        self._local.keep(whole, kept)
        if failed and len(failed) == len(champions):
            raise next(iter(failed.values()))
        self._log_failed(failed)

    def _log_failed(self, failed: dict[str, VisionOpsError]) -> None:
        told = {name: str(error) for name, error in failed.items()}
        for name, said in told.items():
            if self._told.get(name) != said:
                _log.warning("%s is left to the next pass: %s", name, said)
        self._told = told

    def _follow_each(self, champions: Sequence[Release]) -> dict[str, VisionOpsError]:
        """Lay out each champion, and return by model why one could not be: it stops no other."""
        failed: dict[str, VisionOpsError] = {}
        names = {release.model_name for release in champions}
        self._champions = {name: sha for name, sha in self._champions.items() if name in names}
        for release in champions:
            try:
                self._follow(release)
            except (ReleaseError, UntrustedArtifactError) as error:
                failed[release.model_name] = error
        return failed

    def _follow(self, current: Release) -> None:
        name, version = current.model_name, current.model_version
        if self._champions.get(name) == current.manifest_sha256:
            return
        repository = ModelRepository(self._store, name)
        files = repository.read_released(version, current.manifest_sha256)
        self._local.put_champion(name, version, files)
        self._champions[name] = current.manifest_sha256
        _log.info("laid out", extra={"fields": {"model": name, "version": version}})

    def _lay_out_steps(self, wanted: set[tuple[str, int]]) -> None:
        """Lay out the steps of each wanted ensemble; log those that cannot be trusted.

        A version that never served may be written again, so it counts with its list of files.
        """
        found: dict[_Key, list[str]] = {}
        for name, version in wanted:
            try:
                manifest = ModelRepository(self._store, name).manifest_sha256(version)
            except NotFoundError:
                # Of an ancient release, or about to be written.
                continue
            key = (name, version, manifest)
            try:
                known = self._steps.get(key)
                found[key] = self._put_steps(name, version) if known is None else known
            except (ReleaseError, UntrustedArtifactError) as error:
                if key not in self._steps:
                    _log.warning("no steps of %s %d: %s", name, version, error)
                found[key] = []
        self._steps = found

    def _engines_to_lay_out(self, session: Session, current: Release) -> list[Engine]:
        name, version = current.model_name, current.model_version
        return [
            Engine(self._store, name, version, row.key or "", row.plan_sha256 or "")
            for row in wanted_engines(session, name, version)
        ]

    def _lay_out_engines(self, wanted: list[Engine]) -> None:
        """Lay out the champion's engines; log those that cannot be trusted. ONNX serves then."""
        found: dict[Engine, str | None] = {}
        for engine in wanted:
            try:
                known = engine in self._engines
                found[engine] = self._engines[engine] if known else self._put_engine(engine)
            except (ReleaseError, UntrustedArtifactError) as error:
                _log.warning("no engine: %s", error)
                found[engine] = None
        self._engines = found

    def _put_engine(self, engine: Engine) -> str | None:
        files = ModelRepository(self._store, engine.model_name).read(engine.model_version)
        if not takes_engine(files):
            return None
        step = engine.step_of(infer_step(files))
        plan = engine.plan_for(files[ONNX_FILE])
        self._local.put_engine(engine.model_version, files, step, plan)
        return step

    def _put_steps(self, name: str, version: int) -> list[str]:
        repository = ModelRepository(self._store, name)
        if not is_ensemble(read_manifest(self._store, repository.version_prefix(version))):
            return []
        return self._local.put_steps(name, version, repository.read(version))


def _kept_versions(release: Release) -> set[int]:
    """Return the champion's version, and the one before."""
    numbers = (release.model_version, release.previous_version)
    return {number for number in numbers if number is not None}


def main() -> None:
    """Run until SIGTERM or SIGINT."""
    configure_logging()
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    settings = load_settings()
    names = [model.name for model in load_models()]
    keeper = Keeper(Catalog(), ObjectStore(), triton_repository(settings), names)
    _log.info("keeper started")
    keeper.run(Heartbeat(settings, "keeper"), stop)
    _log.info("keeper stopped")


if __name__ == "__main__":
    main()
