import io
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest

from visionops_assets.contracts import Candidate
from visionops_assets.errors import NotFoundError
from visionops_assets.resources.tables import (
    URI_METADATA_KEY,
    RecordIOManager,
    TableIOManager,
    TableStore,
)
from visionops_assets.settings import load_settings


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
    return RecordIOManager(s3=TableStore())._written_uri(context)


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


def context_of(run: SimpleNamespace, *written: str) -> Any:
    found = SimpleNamespace(records=[record(run_id) for run_id in written])
    return SimpleNamespace(
        asset_key=dg.AssetKey("model"),
        has_asset_partitions=False,
        run_id=run.run_id,
        instance=SimpleNamespace(fetch_materializations=lambda *_, **__: found),
        step_context=SimpleNamespace(dagster_run=run),
        dagster_type=SimpleNamespace(typing_type=Candidate),
        add_output_metadata=lambda _: None,
    )


@pytest.fixture
def store_is_down(monkeypatch: pytest.MonkeyPatch) -> Iterator[RecordIOManager]:
    monkeypatch.setenv("VISIONOPS_S3_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("VISIONOPS_S3_ACCESS_KEY_ID", "id-secret")
    monkeypatch.setenv("VISIONOPS_S3_SECRET_ACCESS_KEY", "key-secret")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    load_settings.cache_clear()
    yield RecordIOManager(s3=TableStore())
    load_settings.cache_clear()


def test_a_store_that_is_down_is_named(store_is_down: RecordIOManager) -> None:
    with pytest.raises(dg.Failure, match=r"http://127\.0\.0\.1:1 does not answer.*visionops up"):
        store_is_down.load_input(context_of(FIRST, "a"))
    candidate = Candidate(model_name="m", model_version=1, mlflow_run_id="r", snapshot_id="s")
    with pytest.raises(dg.Failure, match="does not answer"):
        store_is_down.handle_output(context_of(FIRST), candidate)


def test_no_key_is_in_what_dagster_shows_of_its_resources(store_is_down: RecordIOManager) -> None:
    assert "-secret" not in repr(store_is_down) + str(store_is_down.s3)
    # The client has them.
    credentials = TableStore().get_client()._request_signer._credentials
    assert credentials.secret_key == "key-secret"


@pytest.mark.parametrize("manager", [RecordIOManager, TableIOManager])
@pytest.mark.parametrize("content", [b"", b"other bytes", b"PAR1", b'{"model_version": 1}'])
def test_bytes_that_were_not_written_are_told_of(
    manager: type[RecordIOManager] | type[TableIOManager],
    content: bytes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = SimpleNamespace(get_object=lambda **_: {"Body": io.BytesIO(content)})
    monkeypatch.setattr(TableStore, "get_client", lambda _: store)
    with pytest.raises(dg.Failure) as failed:
        manager(s3=TableStore()).load_input(context_of(FIRST, "a"))
    said = str(failed.value.description)
    assert said == "The object a.json is not what was written. Materialize model again."
