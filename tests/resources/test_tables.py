from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest

from visionops_assets.errors import NotFoundError
from visionops_assets.resources.object_store import ObjectStore
from visionops_assets.resources.tables import URI_METADATA_KEY, RecordIOManager


def record(run_id: str) -> Any:
    uri = dg.MetadataValue.path(f"s3://bucket/{run_id}.json")
    return SimpleNamespace(
        run_id=run_id, asset_materialization=SimpleNamespace(metadata={URI_METADATA_KEY: uri})
    )


def uri_read_by(run: SimpleNamespace, written: list[str]) -> str:
    """Address that a run reads, when these runs wrote the asset, the newest first."""
    found = SimpleNamespace(records=[record(run_id) for run_id in written])
    context: Any = SimpleNamespace(
        asset_key=dg.AssetKey("model"),
        has_asset_partitions=False,
        instance=SimpleNamespace(fetch_materializations=lambda *_, **__: found),
        step_context=SimpleNamespace(dagster_run=run),
    )
    return RecordIOManager(store=ObjectStore())._written_uri(context)


FIRST = SimpleNamespace(run_id="a", parent_run_id=None, root_run_id=None)
RETRY = SimpleNamespace(run_id="a2", parent_run_id="a1", root_run_id="a")


@pytest.mark.parametrize(
    ("run", "written", "read"),
    [
        (FIRST, ["b", "a"], "a"),
        (FIRST, ["c", "b"], "c"),
        (RETRY, ["b", "a2", "a1", "a"], "a2"),
        (RETRY, ["b", "a1", "a"], "a1"),
        (RETRY, ["b", "a"], "a"),
    ],
    ids=["its own", "the newest", "its own again", "its parent's", "its root's"],
)
def test_a_run_reads_what_it_or_what_it_retries_wrote(
    run: SimpleNamespace, written: list[str], read: str
) -> None:
    assert uri_read_by(run, written) == f"s3://bucket/{read}.json"


def test_what_was_never_materialized_is_not_found() -> None:
    with pytest.raises(NotFoundError, match="model"):
        uri_read_by(FIRST, [])
