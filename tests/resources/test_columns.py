"""A table has the columns and types that Dagster shows of it, however its rows come."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import pandas as pd
import pytest
from pydantic import BaseModel

from visionops_assets.catalog.schema import AnnotationRow
from visionops_assets.resources.columns import (
    TEXT,
    TIME,
    columns,
    fields_of,
    frame_of,
    names,
    rows_of,
)

SCHEMA = columns(
    ("id", TEXT, "Id."),
    ("count", "int64", "Count."),
    ("share", "float64", "Share."),
    ("is_new", "bool", "Whether it is new."),
    ("at", TIME, "When."),
)
DTYPES = ["object", "int64", "float64", "bool", "datetime64[us, UTC]"]


class Kind(StrEnum):
    IMAGE = "image"


class Told(BaseModel):
    count: int
    least: float | None
    kinds: tuple[Kind, ...]
    at: datetime


def row(**changed: Any) -> dict[str, Any]:
    at = datetime(2026, 3, 1, tzinfo=UTC)
    return {"id": UUID(int=1), "count": 2, "share": None, "is_new": True, "at": at} | changed


@pytest.mark.parametrize(
    "rows",
    [[], pd.DataFrame(), [row()], (row(id=Kind.IMAGE) for _ in range(2)), [row(extra=1)]],
    ids=["none", "an empty frame", "one", "a generator", "one with more"],
)
def test_columns_and_types_are_those_of_the_schema(rows: Any) -> None:
    frame = frame_of(rows, SCHEMA)
    assert list(frame.columns) == names(SCHEMA)
    assert [str(dtype) for dtype in frame.dtypes] == DTYPES


def test_text_is_plain() -> None:
    frame = frame_of([row(), row(id=Kind.IMAGE), row(id=None)], SCHEMA)
    assert frame["id"].tolist() == [str(UUID(int=1)), "image", None]
    assert [type(value) for value in frame["id"]] == [str, str, type(None)]


def test_a_missing_column_is_an_error() -> None:
    with pytest.raises(KeyError, match="share"):
        frame_of([{"id": "a", "count": 1}], SCHEMA)


def test_a_value_of_another_type_is_an_error() -> None:
    with pytest.raises(ValueError, match="many"):
        frame_of([row(count="many")], SCHEMA)


def test_the_fields_of_a_record_have_the_types_that_are_written() -> None:
    meanings = dict.fromkeys(("count", "least", "kinds", "at"), "A meaning.")
    types = [column.type for column in fields_of(Told, meanings).columns]
    assert types == ["int", "float | None", "tuple[Kind, ...]", "datetime"]


MEANINGS = dict.fromkeys(("annotation_id", "author"), "A meaning.")


def test_the_rows_of_the_catalog_have_the_types_of_their_columns() -> None:
    types = [column.type for column in rows_of(AnnotationRow, MEANINGS).columns]
    assert types == ["int", "str | None"]
