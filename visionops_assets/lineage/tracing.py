"""Walks from one thing to all that it came from, and to all that came of it.

Breadth first, so that a long list cuts no near one. Each step is an indexed query of a page: a
trace takes as long with a million frames as with a thousand.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from visionops_assets.catalog.paging import Listed, count_up_to, read_page
from visionops_assets.catalog.traced_media import unnoted_snapshot_ids
from visionops_assets.errors import InvalidRequestError
from visionops_assets.lineage.nodes import node_of
from visionops_assets.lineage.records import Branch, Direction, Kind, Node, Trace
from visionops_assets.lineage.relations import Relation, relations_of
from visionops_assets.lineage.roots import find_root

MAX_LIMIT = 1000
NEAR = 10
"""Nodes of a list of what is traced, if nobody says otherwise."""
FAR = 3
"""Nodes of each list further on."""
MAX_FOLLOWED = 60
"""Nodes whose lists are looked up: a trace is for people, and ends within a second."""
COUNTED_NEAR = 10_000
COUNTED_FAR = 1_000
"""The numbers of rows that are counted at most. Their rows may lie anywhere on a disk."""

NEEDS_MEMBERS = {(Kind.DATASET, Direction.UP), (Kind.MODEL, Direction.UP)} | {
    (Kind.PREDICTION, Direction.UP),
    (Kind.MEDIA, Direction.DOWN),
    (Kind.FRAME, Direction.DOWN),
}


@dataclass(frozen=True)
class Wanted:
    """How much of a trace is wanted: one direction or both, and how long lists may be."""

    directions: tuple[Direction, ...] = (Direction.UP, Direction.DOWN)
    limit: int = NEAR


def trace(session: Session, kind: Kind, text: str, wanted: Wanted) -> Trace:
    """Trace one thing.

    Raises:
        InvalidRequestError: the id has not the form of its kind.
        NotFoundError: there is no such thing.
    """
    row = find_root(session, kind, text)
    trees = {
        direction.value: _Walk(session, direction, wanted.limit).tree(row)
        for direction in wanted.directions
    }
    about_members = any((kind, direction) in NEEDS_MEMBERS for direction in wanted.directions)
    unnoted = unnoted_snapshot_ids(session) if about_members else ()
    notes = [_unnoted(unnoted)] if unnoted else []
    return Trace(kind=kind, id=node_of(row, {}).id, notes=notes, **trees)


def trace_list(
    session: Session, kind: Kind, text: str, name: str, limit: int, cursor: str | None
) -> Branch:
    """Return a page of one list of what is traced, of either direction.

    Raises:
        InvalidRequestError: the id, the list or the cursor is none of this kind.
        NotFoundError: there is no such thing.
    """
    relations = [each for d in Direction for each in relations_of(kind.value, d)]
    for relation in relations:
        if relation.name == name:
            row = find_root(session, kind, text)
            branch, _ = _branch(session, relation, row, limit, COUNTED_NEAR, cursor)
            return branch
    known = ", ".join(sorted({each.name for each in relations}))
    raise InvalidRequestError(f"list: a {kind.value} has no list {name!r}. It has: {known}.")


def _unnoted(snapshot_ids: Sequence[str]) -> str:
    return (
        f"The members of {', '.join(snapshot_ids)} are not noted: a version of VisionOps cut them "
        "that noted none, or a run ended before. The next snapshot of their model notes them."
    )


def _branch(
    session: Session,
    relation: Relation,
    row: object,
    limit: int,
    counted: int,
    cursor: str | None = None,
) -> tuple[Branch, list[object]]:
    """Read a list; return it with the rows of its nodes."""
    found = relation.find(session, row)
    if not isinstance(found, Listed):
        rows = list(found)
        nodes = [node_of(each, {}) for each in rows]
        return _as_branch(relation, nodes, len(rows), is_counted=True, cursor=None), rows
    page = read_page(session, found, limit, cursor)
    nodes = [node_of(each[0], _further(each._asdict())) for each in page.rows]
    count = len(nodes)
    if page.cursor is not None or cursor is not None:
        count = count_up_to(session, found, counted + 1)
    is_counted = count <= counted or found.count is not None
    branch = _as_branch(
        relation,
        nodes,
        count if is_counted else counted,
        is_counted=is_counted,
        cursor=page.cursor,
    )
    return branch, [each[0] for each in page.rows]


def _as_branch(
    relation: Relation, nodes: list[Node], count: int, *, is_counted: bool, cursor: str | None
) -> Branch:
    return Branch(
        name=relation.name,
        says=relation.says,
        count=count,
        is_counted=is_counted,
        cursor=cursor,
        nodes=nodes,
    )


def _further(columns: dict[str, object]) -> dict[str, object]:
    """Return what a list says of a node beyond its row."""
    return {name: value for name, value in columns.items() if name in {"side", "frames"}}


class _Walk:
    """One direction of a trace."""

    def __init__(self, session: Session, direction: Direction, limit: int) -> None:
        self._session = session
        self._direction = direction
        self._limit = limit
        self._seen: set[tuple[str, str]] = set()
        self._followed = 0

    def tree(self, row: object) -> Node:
        """Return the node of a row, with everything that follows from it."""
        root = node_of(row, {})
        self._seen.add(root.key)
        waiting = deque([(root, row)])
        while waiting:
            node, row = waiting.popleft()
            waiting.extend(self._follow(node, row, is_root=node is root))
        return root

    def _follow(self, node: Node, row: object, *, is_root: bool) -> list[tuple[Node, object]]:
        """Add the lists of a node; return what is to be followed next."""
        after: list[tuple[Node, object]] = []
        limit, counted = (self._limit, COUNTED_NEAR) if is_root else (FAR, COUNTED_FAR)
        for relation in relations_of(node.kind, self._direction):
            branch, rows = _branch(self._session, relation, row, min(limit, self._limit), counted)
            if not rows:
                continue
            nodes = branch.nodes
            if relation.goes_on:
                nodes = list(map(self._marked, nodes))
                after += [
                    (one, one_row)
                    for one, one_row in zip(nodes, rows, strict=True)
                    if not one.is_above and not one.is_cut
                ]
            node.branches.append(branch.model_copy(update={"nodes": nodes}))
        return after

    def _marked(self, node: Node) -> Node:
        """Mark a node that is not followed, because it was or because the trace is too long."""
        if not relations_of(node.kind, self._direction):
            return node
        if node.key in self._seen:
            return node.model_copy(update={"is_above": True})
        self._seen.add(node.key)
        self._followed += 1
        return node.model_copy(update={"is_cut": self._followed > MAX_FOLLOWED})
