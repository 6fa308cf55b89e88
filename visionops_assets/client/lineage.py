"""Shows in Dagster's lineage what no run of Dagster did."""

from collections.abc import Mapping
from typing import Any

from visionops_assets.client.dagster import DagsterClient

TOLD = """
query Told($path: [String!]!) {
  assetOrError(assetKey: { path: $path }) {
    __typename
    ... on Asset { assetMaterializations { metadataEntries {
      label ... on IntMetadataEntry { intValue }
    } } }
  }
}
"""


class Lineage:
    """The materializations of assets, on one Dagster webserver; errors are those of its client.

    Assets are named as Dagster shows them: `classifier/model_release`.
    """

    def __init__(self, dagster: DagsterClient) -> None:
        self._dagster = dagster

    def report(self, asset: str, metadata: Mapping[str, Any]) -> None:
        """Report that an asset was materialized, with metadata that is JSON."""
        self._dagster.post(f"/report_asset_materialization/{asset}", {"metadata": dict(metadata)})

    def numbers(self, asset: str, label: str) -> set[int]:
        """Return the whole numbers that the asset's materializations have as this metadata."""
        found = self._dagster.query(TOLD, {"path": asset.split("/")})["assetOrError"]
        entries = [
            entry
            for materialization in found.get("assetMaterializations", [])
            for entry in materialization["metadataEntries"]
        ]
        named = [entry.get("intValue") for entry in entries if entry["label"] == label]
        return {int(number) for number in named if number is not None}
