"""Tells Dagster of releases that no run made, so that lineage shows them, each once."""

from typing import Any

from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.releases import event_of, releases_without_run, try_lock_lineage
from visionops_assets.catalog.schema import Release, ReleaseEvent
from visionops_assets.client.lineage import Lineage
from visionops_assets.models.naming import asset_name

ASSET = "model_release"
ID = "release_id"
"""Of the metadata that only these reports have."""


class Teller:
    """Reports the releases of one model. Dagster itself knows which ones it was told of.

    So nothing is noted beside it: a report whose answer got lost is not sent again, and those of
    an asset that was wiped are.
    """

    def __init__(self, catalog: Catalog, lineage: Lineage, model_name: str) -> None:
        self._catalog = catalog
        self._lineage = lineage
        self._model_name = model_name
        self._asset = asset_name(model_name, ASSET)
        self._told_id = 0
        """Up to which release this process has asked or told Dagster."""

    def tell(self) -> str:
        """Report what is new, oldest first, and say how much that was.

        Raises:
            ServerUnreachableError: the catalog or Dagster does not answer; the next turn goes on.
            VisionOpsError: Dagster refuses the report.
        """
        with self._catalog.begin() as session:
            releases = releases_without_run(session, self._model_name, self._told_id)
            if not releases:
                return "Dagster knows of every release."
            if not try_lock_lineage(session, self._model_name):
                return "Another releaser tells Dagster."
            known = self._lineage.numbers(self._asset, ID)
            for release in releases:
                if release.release_id not in known:
                    self._lineage.report(
                        self._asset, metadata_of(release, event_of(session, release))
                    )
                self._told_id = release.release_id
        return f"Dagster knows of every release, up to {self._told_id}."


def metadata_of(release: Release, event: ReleaseEvent | None) -> dict[str, Any]:
    """Return what Dagster shows of a release, as JSON."""
    metadata: dict[str, Any] = {
        "model_version": release.model_version,
        "previous_version": release.previous_version,
        "released_at": release.released_at.isoformat(),
        ID: release.release_id,
    }
    if event is not None:
        metadata |= {"outcome": event.action, "actor": event.actor, "reason": event.reason}
    return metadata
