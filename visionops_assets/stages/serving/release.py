"""Releases an exported model: gate, version folder, switch, one row in the catalog.

The newest release row is the truth about what must be served. It is written in the transaction
that holds the model's release lock, before the switch, and committed after it: a release that
dies halfway leaves the old champion, and `Releaser.converge` brings the server back to it.
"""

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.orm import Session

from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.releases import (
    add_release,
    champion,
    lock_releases,
    newest_release,
    newest_verdict,
    try_lock_releases,
)
from visionops_assets.catalog.schema import Release
from visionops_assets.contracts import ExportedModel, ModelCard, ReleasedModel
from visionops_assets.errors import GateRefusedError, ReleaseError
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.resources.triton import TritonServer
from visionops_assets.stages.serving.golden import GoldenSet, golden_images, golden_set
from visionops_assets.stages.serving.repository import (
    Files,
    ModelRepository,
    pipeline_files,
    sha256_by_file,
)
from visionops_assets.stages.serving.rollout import Rollout, SmokeTest

PIPELINE = "classifier"
"""Folder of the served pipeline's templates. A model's name is its own affair."""


@dataclass(frozen=True)
class ReleaseOutcome:
    """A release, and how it was tested: `smoke_test` is None if it was champion already."""

    released: ReleasedModel
    smoke_test: SmokeTest | None
    repository_prefix: str
    bytes_by_file: dict[str, int]
    sha256_by_file: dict[str, str]


class Releaser:
    """Releases versions, and keeps Triton at the champion."""

    def __init__(
        self,
        catalog: Catalog,
        object_store: ObjectStore,
        triton: TritonServer,
        pipelines_dir: Path,
    ) -> None:
        self._catalog = catalog
        self._object_store = object_store
        self._triton = triton
        self._template_dir = pipelines_dir / PIPELINE

    def release(self, exported: ExportedModel, dagster_run_id: str) -> ReleaseOutcome:
        """Make an exported model the champion; when it is already, only see that it is served.

        Raises:
            GateRefusedError: the catalog has no verdict that passes it against today's champion.
            ReleaseError: it failed; what served before still serves.
        """
        name, version = exported.model_name, exported.model_version
        repository = ModelRepository(self._object_store, name)
        rollout = Rollout(repository, self._triton, name)
        with self._catalog.begin() as session:
            lock_releases(session, name)
            current = champion(session, name)
            if current is not None and current.model_version == version:
                rollout.converge(version)
                return _outcome(repository, current, repository.read(version), None)
            previous_version = current.model_version if current else None
            _check_gate(session, exported, previous_version)
            files, golden = self._prepared(session, repository, exported)
            release = add_release(
                session,
                Release(
                    model_name=name,
                    model_version=version,
                    previous_version=previous_version,
                    snapshot_id=exported.snapshot_id,
                    manifest_sha256=repository.manifest_sha256(version),
                    dagster_run_id=dagster_run_id,
                ),
            )
            smoke_test = rollout.switch(version, previous_version, golden)
        return _outcome(repository, release, files, smoke_test)

    def converge(self, model_name: str) -> str:
        """Load the champion if Triton does not serve it, and say what was found."""
        rollout = Rollout(ModelRepository(self._object_store, model_name), self._triton, model_name)
        with self._catalog.begin() as session:
            if not try_lock_releases(session, model_name):
                return "A release is under way."
            current = champion(session, model_name)
            if current is None:
                return f"No version of {model_name!r} was released yet."
            if rollout.converge(current.model_version):
                return f"Loaded the champion, version {current.model_version}, again."
            return f"Version {current.model_version} is served, as it should be."

    def _prepared(
        self, session: Session, repository: ModelRepository, exported: ExportedModel
    ) -> tuple[Files, GoldenSet]:
        """Bring the version folder about; one that was released before is taken as it is."""
        artifacts = self._exported_files(exported)
        card = ModelCard.model_validate_json(artifacts["model.json"])
        images = golden_images(self._object_store, exported.snapshot_id)
        golden = golden_set(images, artifacts["model.onnx"], card)
        name, version = exported.model_name, exported.model_version
        earlier = newest_release(session, name, version)
        if earlier is None:
            code = pipeline_files(self._template_dir, name, version, card)
            return repository.publish(version, artifacts | code), golden
        if repository.manifest_sha256(version) != earlier.manifest_sha256:
            raise ReleaseError(
                f"{repository.version_prefix(version)} is not what was released as "
                f"{earlier.release_id}: train a new version."
            )
        return repository.read(version), golden

    def _exported_files(self, exported: ExportedModel) -> Files:
        artifacts = {
            name: self._object_store.get(exported.object_prefix + name)
            for name in exported.sha256_by_file
        }
        if sha256_by_file(artifacts) != exported.sha256_by_file:
            raise ReleaseError(
                f"{exported.object_prefix} is not what was exported: materialize "
                "exported_model again."
            )
        return artifacts


def _check_gate(session: Session, exported: ExportedModel, champion_version: int | None) -> None:
    name, version = exported.model_name, exported.model_version
    verdict = newest_verdict(session, name, version)
    if verdict is None:
        raise GateRefusedError(f"{name} {version} was never evaluated: materialize it first.")
    if not verdict.passed:
        raise GateRefusedError(f"The gate refused {name} {version}: {verdict.reason}")
    if verdict.champion_version != champion_version:
        raise GateRefusedError(
            f"{name} {version} was compared with champion {verdict.champion_version}, but "
            f"{champion_version} is champion now: evaluate it again."
        )


def _outcome(
    repository: ModelRepository, release: Release, files: Files, smoke_test: SmokeTest | None
) -> ReleaseOutcome:
    return ReleaseOutcome(
        released=ReleasedModel(
            release_id=release.release_id,
            model_name=release.model_name,
            model_version=release.model_version,
            previous_version=release.previous_version,
            snapshot_id=release.snapshot_id,
            released_at=release.released_at,
        ),
        smoke_test=smoke_test,
        repository_prefix=repository.version_prefix(release.model_version),
        bytes_by_file={name: len(data) for name, data in sorted(files.items())},
        sha256_by_file=sha256_by_file(files),
    )
