"""A trace as the catalog of a small installation gives it, made by hand."""

from datetime import UTC, datetime

from visionops_assets.lineage.records import Branch, Kind, Node, Trace

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
PREDICTION = "0199a3f2-7c1e-7d44-9a55-2f0c7a1b3c4d"
MEDIA = "0199a3f2-7c1e-7d44-9a55-000000000001"
FRAME = "0199a3f2-7c1e-7d44-9a55-000000000002"
RUN = "0199a3f2-7c1e-7d44-9a55-000000000003"


def branch(name: str, *nodes: Node, count: int | None = None) -> Branch:
    """Return a list of nodes; of a longer one these are the first."""
    return Branch(
        name=name,
        says=f"by {name}",
        count=count or len(nodes),
        is_counted=True,
        cursor=None if count is None else "next",
        nodes=list(nodes),
    )


def node(kind: str, id_: str, hour: int, *branches: Branch, **facts: object) -> Node:
    """Return a node that came to be at some hour."""
    return Node(
        kind=kind,
        id=id_,
        at=START.replace(hour=hour),
        facts=dict(facts),
        links={"Dagster": f"http://dagster/{kind}"},
        branches=list(branches),
    )


def traced() -> Trace:
    """Return what a prediction came from, and that it was labelled."""
    source = Node(kind="source", id="gate-1")
    media = node("media", MEDIA, 1, branch("source", source), object_key="media/1")
    frame = node("frame", FRAME, 2, branch("media", media), shard="frames/1.tar")
    held = branch("frames", frame, count=1234)
    dataset = node("dataset", "ds-1", 3, held, model="classifier", object_prefix="snapshots/ds-1")
    run = node("mlflow_run", "abc", 4, branch("dataset", dataset))
    version = node("model", "classifier:3", 4, branch("run", run), dagster_run=RUN)
    up = node("prediction", PREDICTION, 5, branch("version", version), model="classifier:3")
    label = node("annotation", "7", 6, says="[b]car[/b]")
    down = node("prediction", PREDICTION, 5, branch("annotations", label), model="classifier:3")
    return Trace(kind=Kind.PREDICTION, id=PREDICTION, up=up, down=down, notes=["Look again."])
