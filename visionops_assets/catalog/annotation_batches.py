"""Many annotations at once: the files that they name, and which of them are news."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, insert, literal_column, select
from sqlalchemy.orm import Session

from visionops_assets.catalog.annotations import ANNOTATED
from visionops_assets.catalog.asked import origins_of_media
from visionops_assets.catalog.labels import is_for, stands
from visionops_assets.catalog.schema import AnnotationRow, Media
from visionops_assets.catalog.schema.edge import LAST_NAME
from visionops_assets.contracts import MediaKind, MediaStatus
from visionops_assets.contracts.text import composed
from visionops_assets.errors import NotFoundError, VisionOpsError

SHORT_S = 60.0
"""Parts up to this long are looked up by their seconds; longer ones are few."""

Said = tuple[float | None, float | None, dict[str, Any]]
"""A part (start_s, end_s), or None and None for the whole file, and a payload."""


class AmbiguousMediaError(VisionOpsError):
    """Several stored files have the name or the hash that should mean one."""

    code = "ambiguous_media"


@dataclass(frozen=True, slots=True)
class Reference:
    """How a file is named: by its id, or by its SHA-256, or else by its name.

    Where it has both hash and name, the name counts if no file has the hash.
    """

    media_id: UUID | None = None
    sha256: str | None = None
    filename: str | None = None


@dataclass(frozen=True, slots=True)
class FoundMedia:
    """A stored file."""

    media_id: UUID
    kind: MediaKind | None
    source: str
    sha256: str | None
    filename: str | None


Found = FoundMedia | NotFoundError | AmbiguousMediaError


def find_media(
    session: Session, references: Sequence[Reference], source: str | None = None
) -> list[Found]:
    """Find the one stored file of each reference, of one source or of any; else say why not.

    Names are equal if one is the end of the other, in whole parts: `1.png` names `a/1.png`. Of
    several such files those count that share the longest end with the name.
    """
    named = [
        replace(each, filename=composed(each.filename) if each.filename else None)
        for each in references
    ]
    of_source: list[ColumnElement[bool]] = [
        Media.status.not_in((MediaStatus.RECEIVING, MediaStatus.FORGOTTEN))
    ]
    if source is not None:
        of_source.append(Media.source == source)
    ids = {each.media_id for each in named if each.media_id}
    hashes = {each.sha256 for each in named if each.sha256}
    lasts = {_last(each.filename) for each in named if each.filename}
    last: ColumnElement[str] = literal_column(LAST_NAME)  # As it is indexed.
    by_id = _by(session, Media.media_id, ids, of_source)
    by_hash = _by(session, Media.sha256, hashes, of_source)
    by_last = _by(session, last, lasts, of_source)
    return [_find(each, by_id, by_hash, by_last) for each in named]


def annotate_many(
    session: Session, model_name: str, said: Mapping[UUID, Sequence[Said]], author: str
) -> int:
    """Add what is said of files, each in turn, and return the number of annotations added.

    One that changes nothing is not added: what counts for its part says the same already, whoever
    said it, or is only overruled by what follows here. The answer to a labelling batch is added
    whatever was said before it was opened.
    """
    ids = sorted(said)
    # As in `annotations`: uploads of a file wait. In one order, so that no two batches do so.
    of_files = select(Media.media_id).where(Media.media_id.in_(ids)).order_by(Media.media_id)
    session.execute(of_files.with_for_update(key_share=True))
    row = AnnotationRow
    standing = session.execute(
        select(row.annotation_id, row.media_id, row.start_s, row.end_s, row.payload, row.origin)
        .where(row.media_id.in_(ids), is_for(model_name), stands())
        .order_by(row.annotation_id)
    )
    before: dict[UUID, list[Row[Any]]] = defaultdict(list)
    for each in standing:
        before[each.media_id].append(each)
    chosen = origins_of_media(session, model_name, ids, author)
    common = {"model_name": model_name, "author": author}
    added = [
        common
        | {"media_id": media_id, "start_s": start_s, "end_s": end_s, "payload": payload}
        | {"origin": chosen.get(media_id, ANNOTATED)}
        for media_id in said
        for start_s, end_s, payload in _News(before[media_id], chosen.get(media_id)).among(
            said[media_id]
        )
    ]
    if added:
        session.execute(insert(row), added)
    return len(added)


class _News:
    """Knows what was said of one file, oldest first, and so what would be news.

    Where a file was chosen for a `purpose`, words for another one are no answer.
    """

    def __init__(self, rows: Sequence[Row[Any]], purpose: str | None) -> None:
        self._purpose = purpose
        self._newest = {(row.start_s, row.end_s): row for row in rows}
        self._wide: list[Row[Any]] = []
        self._by_second: dict[int, list[Row[Any]]] = defaultdict(list)
        for row in rows:
            seconds = _seconds(row.start_s, row.end_s)
            for second in seconds or ():
                self._by_second[second].append(row)
            if seconds is None:
                self._wide.append(row)

    def among(self, said: Sequence[Said]) -> list[Said]:
        """Return those to add, in their order."""
        kept: set[int] = set()
        is_news = [True] * len(said)
        # From the last one on: one that is overruled by those after it may stay where it is.
        for number in range(len(said) - 1, -1, -1):
            start_s, end_s, payload = said[number]
            row = self._newest.get((start_s, end_s))
            if row is None or row.payload != payload or self._purpose not in {None, row.origin}:
                continue
            over = self._overlapping(start_s, end_s)
            if all(each.annotation_id in kept for each in over if _is_newer(each, row)):
                kept.add(row.annotation_id)
                is_news[number] = False
        added: list[Said] = []
        for each, is_new in zip(said, is_news, strict=True):
            if is_new or any(_overlap(each, earlier) for earlier in added):
                added.append(each)
        return added

    def _overlapping(self, start_s: float | None, end_s: float | None) -> Iterator[Row[Any]]:
        seconds = _seconds(start_s, end_s)
        if seconds is None:
            candidates = [*self._wide, *(r for rows in self._by_second.values() for r in rows)]
        else:
            candidates = [*self._wide, *(r for s in seconds for r in self._by_second.get(s, ()))]
        place: Said = (start_s, end_s, {})
        return (row for row in candidates if _overlap((row.start_s, row.end_s, {}), place))


def _is_newer(row: Row[Any], than: Row[Any]) -> bool:
    return bool(row.annotation_id > than.annotation_id)


def _overlap(one: Said, other: Said) -> bool:
    if one[0] is None or other[0] is None:
        return True
    return one[0] < (other[1] or inf) and other[0] < (one[1] or inf)


def _seconds(start_s: float | None, end_s: float | None) -> range | None:
    """Return the seconds that a short part touches; None of a long one, or of a whole file."""
    if start_s is None or end_s is None or end_s - start_s > SHORT_S:
        return None
    return range(int(start_s), int(end_s) + 1)


def _by(
    session: Session,
    column: Any,
    values: set[Any],
    of_source: Sequence[ColumnElement[bool]],
) -> dict[Any, list[FoundMedia]]:
    found: dict[Any, list[FoundMedia]] = defaultdict(list)
    if not values:
        return found
    columns = (Media.media_id, Media.kind, Media.source, Media.sha256, Media.filename)
    query = select(column, *columns).where(column.in_(values), *of_source)
    for value, *fields in session.execute(query):
        found[value].append(FoundMedia(*fields))
    return found


def _find(
    reference: Reference,
    by_id: Mapping[Any, Sequence[FoundMedia]],
    by_hash: Mapping[Any, Sequence[FoundMedia]],
    by_last: Mapping[Any, Sequence[FoundMedia]],
) -> Found:
    if reference.media_id is not None:
        return _one(by_id.get(reference.media_id, ()), f"the id {reference.media_id}")
    of_hash = by_hash.get(reference.sha256, ()) if reference.sha256 else ()
    if of_hash or reference.filename is None:
        return _one(of_hash, f"the SHA-256 {reference.sha256}")
    name = reference.filename
    alike = [
        each for each in by_last.get(_last(name), ()) if _is_end_of_other(each.filename or "", name)
    ]
    shared = [min(len(each.filename or ""), len(name)) for each in alike]
    closest = [each for each, length in zip(alike, shared, strict=True) if length == max(shared)]
    exact = [each for each in closest if each.filename == name]
    return _one(exact or closest, f"the name {name!r}")


def _one(found: Sequence[FoundMedia], named: str) -> Found:
    if len(found) == 1:
        return found[0]
    if not found:
        return NotFoundError(f"There is no stored file with {named}.")
    sources = sorted({each.source for each in found})
    if len(sources) > 1:
        return AmbiguousMediaError(
            f"Files of several sources have {named}: {', '.join(sources[:5])}. Name the source."
        )
    return AmbiguousMediaError(
        f"{len(found)} files of the source {sources[0]} have {named}. Name more of the path, the "
        "SHA-256 or the id."
    )


def _last(name: str) -> str:
    return name.rpartition("/")[2]


def _is_end_of_other(one: str, other: str) -> bool:
    return f"/{one}".endswith(f"/{other}") or f"/{other}".endswith(f"/{one}")
