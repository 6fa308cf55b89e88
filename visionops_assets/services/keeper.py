"""The keeper: verifies the files that a Triton server may load, and lays them out beside it.

`python -m visionops_assets.services.keeper`, one for each server. Triton starts after its first
pass: with the champion that the catalog names, or with nothing if it names none. The keeper goes
on: the folder follows the champion, and holds the steps of ensembles that are released.
"""

import logging
import signal
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
from visionops_assets.models import default_model
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
        self, catalog: Catalog, store: ObjectStore, repository: Path, model_name: str
    ) -> None:
        self._catalog = catalog
        self._store = store
        self._local = LocalRepository(repository)
        self._model_name = model_name
        # Only of this process: earlier files may come from an earlier version of this code.
        self._champion: str | None = None
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
            ReleaseError: the folder of a version is not whole; the local one stays as it was.
            UntrustedArtifactError: it is not what we signed or released; likewise.
        """
        with self._catalog.begin() as session:
            current = champion(session, self._model_name)
            rollout = active_rollout(session, self._model_name)
            engines = self._engines_to_lay_out(session, current)
        released = (current.model_version, current.previous_version) if current else ()
        numbers = {number for number in released if number is not None}
        tried = {rollout.model_version} if rollout else set()
        wanted = {(self._model_name, number) for number in numbers | tried}
        self._lay_out_steps(wanted | set(asked_versions(self._store)))
        self._follow(current)
        self._lay_out_engines(engines)
        models = {step for steps in self._steps.values() for step in steps}
        models |= {step for step in self._engines.values() if step is not None}
        if current is not None:
            models.add(current.model_name)
        self._local.keep(models, numbers)

    def _follow(self, current: Release | None) -> None:
        if current is None:
            self._champion = None
        elif self._champion != current.manifest_sha256:
            name, version = current.model_name, current.model_version
            repository = ModelRepository(self._store, name)
            files = repository.read_released(version, current.manifest_sha256)
            self._local.put_champion(name, version, files)
            self._champion = current.manifest_sha256
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

    def _engines_to_lay_out(self, session: Session, current: Release | None) -> list[Engine]:
        if current is None:
            return []
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


def main() -> None:
    """Run until SIGTERM or SIGINT."""
    configure_logging()
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    settings = load_settings()
    keeper = Keeper(Catalog(), ObjectStore(), triton_repository(settings), default_model().name)
    _log.info("keeper started")
    keeper.run(Heartbeat(settings, "keeper"), stop)
    _log.info("keeper stopped")


if __name__ == "__main__":
    main()
