"""Writes a trace as OpenLineage events: a run of a job made this of that.

The form is that of https://openlineage.io/spec/2-0-2/OpenLineage.json: per thing that was made two
events, START and COMPLETE, both at the time when it was there, since that alone is known. Where a
run has no UUID of its own, one follows from the id of what it made, so that a trace that is sent
again says the same.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid5

from visionops_assets.lineage.records import Node, Trace
from visionops_assets.settings import Settings

SCHEMA = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
FACETS = "https://openlineage.io/spec/facets"
PRODUCER = "https://pypi.org/project/visionops"
JOBS = {
    "media": "ingest",
    "frame": "processed_frames",
    "dataset": "dataset_snapshot",
    "model": "trained_model",
    "prediction": "serving",
    "decision": "retrain_decision",
}
"""The asset, or the service, that makes each kind of thing."""
BETWEEN = frozenset({"mlflow_run"})
"""Kinds that are runs and not data: what they used was used by what they made."""
_NAMES = UUID("6f0b5a4e-52a1-5c3f-9a53-0d4b6b4f3f70")
"""The namespace of ids that follow from others."""


def events_of(trace: Trace, settings: Settings) -> Iterator[dict[str, Any]]:
    """Yield the events of each thing of a trace that was made, each once, the oldest first."""
    graph = _Graph()
    if trace.up is not None:
        graph.add_up(trace.up)
    if trace.down is not None:
        graph.add_down(trace.down, None)
    made = [node for node in graph.nodes.values() if node.kind in JOBS]
    for node in sorted(made, key=lambda each: (_time_of(each), each.key)):
        inputs = [graph.nodes[key] for key in sorted(graph.inputs.get(node.key, ()))]
        complete = _event(node, inputs, settings)
        yield complete | {"eventType": "START", "outputs": []}
        yield complete


class _Graph:
    """The nodes of a trace by their keys, and the others that each was made of."""

    def __init__(self) -> None:
        self.nodes: dict[tuple[str, str], Node] = {}
        self.inputs: dict[tuple[str, str], set[tuple[str, str]]] = {}

    def add_up(self, node: Node, made: Node | None = None) -> None:
        """Add what a thing came from; `made` is what the node is followed from."""
        self._add(node)
        if made is not None:
            self._link(node, made)
        for child in _children(node):
            self.add_up(child, made if node.kind in BETWEEN else node)

    def add_down(self, node: Node, of: Node | None) -> None:
        """Add what came of a thing; `of` is what the node was made of."""
        self._add(node)
        if of is not None:
            self._link(of, node)
        for child in _children(node):
            self.add_down(child, node)

    def _add(self, node: Node) -> None:
        known = self.nodes.get(node.key)
        if known is None or known.is_above:
            self.nodes[node.key] = node

    def _link(self, of: Node, made: Node) -> None:
        if made.kind in JOBS and of.kind in JOBS:
            self.inputs.setdefault(made.key, set()).add(of.key)


def _children(node: Node) -> Iterator[Node]:
    return (child for branch in node.branches for child in branch.nodes)


def _event(node: Node, inputs: list[Node], settings: Settings) -> dict[str, Any]:
    return {
        "eventType": "COMPLETE",
        "eventTime": _time_of(node).isoformat(),
        "producer": PRODUCER,
        "schemaURL": SCHEMA,
        "run": {"runId": str(_run_id(node)), "facets": {}},
        "job": _job(node, settings),
        "inputs": [_dataset(each, settings) for each in inputs],
        "outputs": [_dataset(node, settings)],
    }


def _job(node: Node, settings: Settings) -> dict[str, Any]:
    model = str(node.facts.get("model") or node.id).partition(":")[0]
    is_of_model = node.kind not in {"media", "frame"}
    name = f"{model}/{JOBS[node.kind]}" if is_of_model else JOBS[node.kind]
    kind = _facet(
        "2-0-3/JobTypeJobFacet",
        processingType="STREAMING" if node.kind in {"media", "prediction"} else "BATCH",
        integration="VISIONOPS",
        jobType="JOB",
    )
    return {"namespace": settings.dagster_url, "name": name, "facets": {"jobType": kind}}


def _dataset(node: Node, settings: Settings) -> dict[str, Any]:
    """Name a thing as OpenLineage names data: by where it is kept, and its name there."""
    bucket = f"s3://{settings.s3_bucket}"
    queue = f"kafka://{settings.kafka_bootstrap_servers.partition(',')[0]}"
    match node.kind:
        case "media":
            place = (bucket, str(node.facts.get("object_key", node.id)))
        case "frame":
            place = (bucket, f"{node.facts.get('shard')}#{node.id}")
        case "dataset":
            place = (bucket, str(node.facts.get("object_prefix", node.id)))
        case "model":
            place = (settings.mlflow_tracking_uri, node.id.replace(":", "/"))
        case "prediction":
            place = (queue, str(node.facts.get("queue", node.id)))
        case _:
            place = (settings.dagster_url, f"{node.kind}/{node.id}")
    described = _facet(
        "1-0-1/DocumentationDatasetFacet", description=f"{node.kind} {node.id} of VisionOps."
    )
    version = _facet("1-0-1/DatasetVersionDatasetFacet", datasetVersion=node.id)
    return {
        "namespace": place[0],
        "name": place[1],
        "facets": {"documentation": described, "version": version},
    }


def _facet(path: str, **fields: Any) -> dict[str, Any]:
    name = path.rpartition("/")[2]
    return {
        "_producer": PRODUCER,
        "_schemaURL": f"{FACETS}/{path}.json#/$defs/{name}",
        **fields,
    }


def _run_id(node: Node) -> UUID:
    """Return the id of the run that made a thing: Dagster's where it is known."""
    known = node.facts.get("dagster_run")
    try:
        return UUID(str(known))
    except ValueError:
        return uuid5(_NAMES, f"{node.kind}/{node.id}")


def _time_of(node: Node) -> datetime:
    """Return when a thing was made, in UTC; of what has no time, the beginning of time."""
    return node.at.astimezone(UTC) if node.at else datetime.fromtimestamp(0, UTC)
