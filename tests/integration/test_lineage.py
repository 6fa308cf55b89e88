"""Traces of a large installation, on the real PostgreSQL, in a schema that is never committed."""

import itertools
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from alembic import command
from sqlalchemy import Connection, create_engine, event, text
from sqlalchemy.orm import Session

from tests.scale.lineage_rows import ANALYZED, MODEL, SNAPSHOTS, VIDEO_FRAMES, make_rows, uuid_of
from visionops_assets.catalog.members import note_members, unnoted_snapshots
from visionops_assets.catalog.migrate import alembic_config
from visionops_assets.catalog.schema import SnapshotMedia
from visionops_assets.catalog.versions import note_version
from visionops_assets.contracts import Candidate
from visionops_assets.errors import InvalidRequestError, NotFoundError
from visionops_assets.lineage.records import Branch, Direction, Kind, Node
from visionops_assets.lineage.tracing import COUNTED_FAR, NEAR, Wanted, trace, trace_list
from visionops_assets.settings import Settings

FILES = 10_000
PREDICTIONS = 20_000
BY_LAST = PREDICTIONS // 2
SAMPLES = [
    (Kind.PREDICTION, str(uuid_of("prediction", 7))),
    (Kind.MEDIA, str(uuid_of("media", 1))),
    (Kind.MEDIA, str(uuid_of("media", FILES))),
    (Kind.FRAME, str(uuid_of("frame", VIDEO_FRAMES + 5))),
    (Kind.DATASET, f"ds-{SNAPSHOTS}"),
    (Kind.DATASET, "ds-1"),
    (Kind.MODEL, MODEL),
    (Kind.MODEL, f"{MODEL}:1"),
    (Kind.DECISION, "1"),
]


@pytest.fixture(scope="module")
def connection(stack: Settings) -> Iterator[Connection]:
    engine = create_engine(stack.postgres_url.get_secret_value())
    with engine.connect() as connection:
        schema = f"traced_{uuid4().hex[:8]}"
        connection.execute(text(f"CREATE SCHEMA {schema}"))
        connection.execute(text(f"SET LOCAL search_path = {schema}"))
        config = alembic_config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        make_rows(connection, FILES, PREDICTIONS)
        yield connection
        connection.rollback()
    engine.dispose()


@pytest.fixture
def session(connection: Connection) -> Iterator[Session]:
    """A transaction within that of the module, which is taken back."""
    with Session(connection, join_transaction_mode="create_savepoint") as session:
        yield session
        session.rollback()


def child(node: Node, name: str, place: int = 0) -> Node:
    [branch] = [each for each in node.branches if each.name == name]
    return branch.nodes[place]


def branch_of(node: Node, name: str) -> Branch:
    [branch] = [each for each in node.branches if each.name == name]
    return branch


def test_a_prediction_leads_to_the_source_of_its_training_data(session: Session) -> None:
    found = trace(session, Kind.PREDICTION, str(uuid_of("prediction", 2)), Wanted())
    assert found.up is not None
    node, way = found.up, []
    for name in ("version", "run", "dataset", "frames", "media", "source"):
        node = child(node, name)
        way.append(node.kind)
    assert way == ["model", "mlflow_run", "dataset", "frame", "media", "source"]
    assert node.id.startswith("gate-")
    version = child(found.up, "version")
    assert version.id == f"{MODEL}:{SNAPSHOTS}"
    frames = branch_of(child(child(version, "run"), "dataset"), "frames")
    assert (frames.count, frames.is_counted, len(frames.nodes)) == (FILES, True, 3)
    media = child(frames.nodes[0], "media")
    assert child(media, "events").facts["queue"].startswith("media-0-")
    # The picture came in as a file, too.
    assert child(found.up, "picture").id == str(uuid_of("media", 2))


def test_a_file_leads_to_all_that_saw_it(session: Session) -> None:
    media_id = str(uuid_of("media", FILES // 2))
    found = trace(session, Kind.MEDIA, media_id, Wanted((Direction.DOWN,)))
    assert (found.up, found.notes) == (None, [])
    assert found.down is not None
    datasets = branch_of(found.down, "datasets")
    # It came with the tenth of twenty snapshots, and stayed.
    assert (datasets.count, len(datasets.nodes)) == (SNAPSHOTS // 2 + 1, NEAR)
    newest = datasets.nodes[0]
    assert (newest.id, newest.facts["side"]) == (f"ds-{SNAPSHOTS}", "train")
    version = child(newest, "versions")
    predictions = branch_of(version, "predictions")
    assert (predictions.count, predictions.is_counted) == (COUNTED_FAR, False)
    assert {branch.name for branch in version.branches} == {"releases", "decisions", "predictions"}
    assert child(found.down, "pictures").id == str(uuid_of("prediction", FILES // 2))


def test_a_frame_is_held_by_the_snapshots_of_its_file(session: Session) -> None:
    last = trace(session, Kind.FRAME, str(uuid_of("frame", VIDEO_FRAMES)), Wanted())
    assert last.down is not None
    assert branch_of(last.down, "datasets").count == SNAPSHOTS
    assert last.up is not None
    assert child(last.up, "media").id == str(uuid_of("media", 1))


def test_a_long_list_is_read_by_pages_without_a_gap(session: Session) -> None:
    text_, seen, cursor = f"{MODEL}:{SNAPSHOTS}", [], None
    for _ in itertools.count():
        page = trace_list(session, Kind.MODEL, text_, "predictions", 999, cursor)
        assert page.count == BY_LAST
        seen += [node.id for node in page.nodes]
        cursor = page.cursor
        if cursor is None:
            break
    expected = [str(uuid_of("prediction", n)) for n in range(2, PREDICTIONS + 1, 2)]
    # All at once, or one second apart: the newest first, and then by id.
    assert seen[0] == expected[0]
    assert sorted(seen) == sorted(expected)
    with pytest.raises(InvalidRequestError, match="cursor"):
        trace_list(session, Kind.MODEL, text_, "decisions", 5, page.cursor or "bm8")


@pytest.mark.parametrize(("kind", "name"), SAMPLES)
def test_no_plan_reads_a_large_table_whole(
    session: Session, connection: Connection, kind: Kind, name: str
) -> None:
    asked: list[tuple[str, Any]] = []

    def note(_c: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        asked.append((statement, parameters))

    event.listen(connection, "before_cursor_execute", note)
    try:
        trace(session, kind, name, Wanted())
    finally:
        event.remove(connection, "before_cursor_execute", note)
    # A count goes by its index where that is worth it, which it is not with so few rows.
    selects = [s for s in asked if s[0].startswith("SELECT") and "count(" not in s[0]]
    assert len(selects) >= 2
    for statement, parameters in selects:
        explained = connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", parameters)
        [plan] = explained.scalar_one()
        assert not set(scanned(plan["Plan"])) & set(ANALYZED), (statement, plan)


def scanned(plan: dict[str, Any]) -> Iterator[str]:
    """Yield the tables that a plan reads whole."""
    if plan["Node Type"] == "Seq Scan":
        yield plan["Relation Name"]
    for part in plan.get("Plans", ()):
        yield from scanned(part)


SNAPSHOT = """
INSERT INTO snapshot (snapshot_id, model_name, watermark, spec_id, spec, classes, train_frames,
    holdout_frames, object_prefix)
VALUES (:id, 'birds', now(), 'pp-1', '{}', '[]', 1, 0, :id)
"""


def test_members_are_noted_by_runs_of_snapshots(session: Session) -> None:
    video = [str(uuid_of("frame", n)) for n in range(1, 4)]
    image = str(uuid_of("frame", VIDEO_FRAMES + 1))
    cuts: dict[str, list[tuple[str, str]]] = {
        "a": [(video[0], "train"), (video[2], "train")],
        "b": [(video[0], "train"), (video[2], "train"), (image, "holdout")],
        "c": [(frame, "train") for frame in video] + [(image, "holdout")],
        "d": [(image, "train")],
        "e": [(image, "train"), (str(uuid4()), "train")],
    }
    for place, (name, members) in enumerate(cuts.items(), start=1):
        session.execute(text(SNAPSHOT), {"id": name})
        assert [each.snapshot_id for each in unnoted_snapshots(session, "birds")] == [name]
        assert note_members(session, name, members) == place
        # A run that is repeated changes nothing.
        assert note_members(session, name, []) == place
    rows = session.query(SnapshotMedia).filter_by(model_name="birds").count()
    assert rows == 4

    def held(frame: str) -> set[str]:
        page = trace_list(session, Kind.FRAME, frame, "datasets", 100, None)
        return {node.id for node in page.nodes if node.facts["model"] == "birds"}

    assert [held(frame) for frame in video] == [{"a", "b", "c"}, {"c"}, {"a", "b", "c"}]
    assert held(image) == {"b", "c", "d", "e"}
    sides = trace_list(session, Kind.MEDIA, str(uuid_of("media", 2)), "datasets", 100, None)
    of_birds = {n.id: n.facts["side"] for n in sides.nodes if n.facts["model"] == "birds"}
    assert of_birds == {"b": "holdout", "c": "holdout", "d": "train", "e": "train"}
    in_c = trace_list(session, Kind.DATASET, "c", "frames", 100, None)
    assert {node.id for node in in_c.nodes} == {*video, image}


def test_a_snapshot_that_is_not_noted_is_told(session: Session) -> None:
    session.execute(text(SNAPSHOT), {"id": "ds-unnoted"})
    assert note_members(session, "ds-none", []) is None
    [note] = trace(session, Kind.MEDIA, str(uuid_of("media", 3)), Wanted()).notes
    assert "ds-unnoted" in note


def test_a_version_is_noted_once(session: Session) -> None:
    first = Candidate(model_name="birds", model_version=1, mlflow_run_id="m", snapshot_id="ds-1")
    note_version(session, first, "run-1")
    note_version(session, first.model_copy(update={"mlflow_run_id": "n"}), "run-2")
    found = trace(session, Kind.MODEL, "birds", Wanted())
    assert found.id == "birds:1"
    assert found.up is not None
    assert child(found.up, "run").id == "m"
    assert found.up.facts["dagster_run"] == "run-1"
    assert child(child(found.up, "run"), "dataset").id == "ds-1"


@pytest.mark.parametrize("kind", Kind)
def test_what_is_not_there_is_said_to_be_unknown(session: Session, kind: Kind) -> None:
    by_number = kind is Kind.DECISION
    name = "999999" if by_number else str(UUID(int=5))
    with pytest.raises(NotFoundError, match=name):
        trace(session, kind, name, Wanted())
    if kind is not Kind.DATASET:
        with pytest.raises(InvalidRequestError, match="no id of a"):
            trace(session, kind, "no:thing", Wanted())
    with pytest.raises(InvalidRequestError, match="has no list 'nothing'"):
        trace_list(session, kind, name, "nothing", 1, None)
