"""Reads long lists page by page, by the keys of their last row, and counts them up to a bound."""

import base64
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, Uuid, func, literal, select, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session

from visionops_assets.errors import InvalidRequestError

Key = ColumnElement[Any] | InstrumentedAttribute[Any]


@dataclass(frozen=True)
class Listed:
    """A list that is read by pages: a statement, and the columns that order it without ties.

    An index must begin with the conditions of the statement and go on with `keys`: a page is then
    found at once, however long the list is. Where that index has only the first of the keys,
    `indexed_keys` says how many. `count` is what is known without counting.
    """

    statement: Select[*tuple[Any, ...]]
    keys: tuple[Key, ...]
    newest_first: bool = True
    count: int | None = None
    indexed_keys: int | None = None


@dataclass(frozen=True)
class Page:
    """Some rows of a list, and the cursor of those after; None at its end."""

    rows: Sequence[Row[Any]]
    cursor: str | None


def read_page(session: Session, listed: Listed, limit: int, cursor: str | None = None) -> Page:
    """Read up to `limit` rows, those after the cursor.

    Raises:
        InvalidRequestError: the cursor is none of this list.
    """
    query = listed.statement
    if cursor is not None:
        query = query.where(*_after(listed, _read(listed, cursor)))
    order = [key.desc() if listed.newest_first else key.asc() for key in listed.keys]
    named = [key.label(f"key_{number}") for number, key in enumerate(listed.keys)]
    query = query.add_columns(*named).order_by(*order).limit(limit + 1)
    rows = session.execute(query).all()
    more = len(rows) > limit
    rows = rows[:limit]
    return Page(rows, _written(rows[-1], len(named)) if more and rows else None)


def count_up_to(session: Session, listed: Listed, bound: int) -> int:
    """Count the rows, but no more than `bound`: counting goes on only while it is quick."""
    if listed.count is not None:
        return listed.count
    # In the order of the index, lest PostgreSQL read a whole table for a few rows.
    some = listed.statement.with_only_columns(literal(1)).order_by(*listed.keys).limit(bound)
    return session.execute(select(func.count()).select_from(some.subquery())).scalar_one()


def _after(listed: Listed, values: Sequence[Any]) -> Iterator[ColumnElement[bool]]:
    """Yield the conditions of rows that come after one with these keys."""
    bound = [literal(value, key.type) for key, value in zip(listed.keys, values, strict=True)]
    place, last = tuple_(*listed.keys), tuple_(*bound)
    yield place < last if listed.newest_first else place > last
    if indexed := listed.indexed_keys:
        place, last = tuple_(*listed.keys[:indexed]), tuple_(*bound[:indexed])
        yield place <= last if listed.newest_first else place >= last


def _written(row: Row[Any], keys: int) -> str:
    values = [row._mapping[f"key_{number}"] for number in range(keys)]
    plain = [value if isinstance(value, int) else str(value) for value in values]
    return base64.urlsafe_b64encode(json.dumps(plain).encode()).decode().rstrip("=")


def _read(listed: Listed, cursor: str) -> list[Any]:
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        values = json.loads(base64.urlsafe_b64decode(padded.encode("ascii")))
        return [_typed(key, value) for key, value in zip(listed.keys, values, strict=True)]
    except (ValueError, TypeError, AttributeError):
        raise InvalidRequestError(
            "cursor: it is none of this list. Take the one that its page before gave."
        ) from None


def _typed(key: Key, value: object) -> Any:
    if isinstance(key.type, Uuid):
        return UUID(str(value))
    wanted = key.type.python_type
    if wanted is datetime:
        return datetime.fromisoformat(str(value))
    if type(value) is not wanted:
        raise ValueError
    return value
