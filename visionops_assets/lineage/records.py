"""Records of a trace: nodes, and the lists that lead from one to others."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import Field

from visionops_assets.contracts import TolerantRecord


class Kind(StrEnum):
    """A kind of thing that can be traced."""

    PREDICTION = "prediction"
    MEDIA = "media"
    FRAME = "frame"
    DATASET = "dataset"
    MODEL = "model"
    DECISION = "decision"


class Direction(StrEnum):
    """Up: what something came from. Down: what came of it."""

    UP = "up"
    DOWN = "down"


_NODE: dict[str, Any] = {
    "kind": "model",
    "id": "classifier:8",
    "at": "2026-03-01T12:00:00Z",
    "facts": {"dataset": "ds-3f2a9c01d4e5b607"},
    "links": {"MLflow": "http://127.0.0.1:5000/#/models/classifier/versions/8"},
    "is_above": False,
    "is_cut": False,
    "branches": [],
}
_BRANCH: dict[str, Any] = {
    "name": "version",
    "says": "answered by",
    "count": 1,
    "is_counted": True,
    "cursor": None,
    "nodes": [_NODE],
}
_PREDICTION = "0199a3f2-7c1e-7d44-9a55-2f0c7a1b3c4d"
_TRACE: dict[str, Any] = {
    "kind": "prediction",
    "id": _PREDICTION,
    "up": {**_NODE, "kind": "prediction", "id": _PREDICTION, "branches": [_BRANCH]},
    "down": None,
    "notes": [],
}


class Node(TolerantRecord):
    """One thing on the way, and the lists that lead on from it."""

    kind: str = Field(description="A kind that can be traced, or one that only stands in traces.")
    id: str = Field(description="As `visionops trace KIND ID` takes it.")
    at: datetime | None = Field(None, description="When it came to be.")
    facts: dict[str, Any] = Field(default_factory=dict, description="All that is known of it.")
    links: dict[str, str] = Field(default_factory=dict, description="Pages about it, by program.")
    is_above: bool = Field(False, description="It stands in this trace already, with its lists.")
    is_cut: bool = Field(False, description="The trace became too long: trace it on its own.")
    branches: list["Branch"] = Field(default_factory=list)

    @property
    def key(self) -> tuple[str, str]:
        """Return what names it in a trace."""
        return self.kind, self.id


class Branch(TolerantRecord, json_schema_extra={"examples": [_BRANCH]}):
    """A list that leads from one node to others. Long ones are cut."""

    name: str = Field(description="Its name among the lists of the node, to page by.")
    says: str = Field(description="How its nodes are related to the one before.")
    count: int = Field(description="Nodes in the whole list.")
    is_counted: bool = Field(description="Whether `count` is all; else there are more than that.")
    cursor: str | None = Field(None, description="Of the next page; null if this is all.")
    nodes: list[Node]


class Trace(TolerantRecord, json_schema_extra={"examples": [_TRACE]}):
    """The origin of something, and all that came of it: one tree per direction."""

    kind: Kind
    id: str
    up: Node | None = None
    down: Node | None = None
    notes: list[str] = Field(
        default_factory=list, description="All that the trace cannot know yet."
    )
