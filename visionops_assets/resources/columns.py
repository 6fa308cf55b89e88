"""Columns of the tables between assets: Dagster shows them, and `frame_of` applies them.

The records between assets, messages of the queue and rows of the catalog are described in the
same way.
"""

import re
from collections.abc import Iterable, Mapping
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import dagster as dg
import pandas as pd
from pydantic import BaseModel
from sqlalchemy.orm import DeclarativeBase

TEXT = "text"
TIME = "datetime64[us, UTC]"


def columns(*described: tuple[str, str, str]) -> dg.TableSchema:
    """Describe a table: name, type and meaning per column.

    A type is `TEXT`, or a dtype of pandas.
    """
    return dg.TableSchema([dg.TableColumn(*one) for one in described])


def shown(schema: dg.TableSchema) -> dict[str, Any]:
    """Return the definition metadata that shows a schema on the asset's page in Dagster."""
    return {"dagster/column_schema": schema}


def names(schema: dg.TableSchema) -> list[str]:
    """List the names of the columns, in order."""
    return [column.name for column in schema.columns]


def frame_of(
    rows: pd.DataFrame | Iterable[Mapping[str, Any]], schema: dg.TableSchema
) -> pd.DataFrame:
    """Make a data frame of rows, with exactly the columns and types of a schema.

    Raises:
        KeyError: the rows lack a column.
        ValueError: a value does not fit its type.
    """
    given = rows if isinstance(rows, pd.DataFrame) else pd.DataFrame(list(rows))
    if given.empty:
        given = given.reindex(columns=names(schema))
    frame = given[names(schema)].copy()
    for column in schema.columns:
        if column.type == TEXT:
            # UUIDs and enum members become text too: parquet does not know them.
            text = frame[column.name].astype(object)
            frame[column.name] = text.map(str, na_action="ignore")
    return frame.astype({one.name: one.type for one in schema.columns if one.type != TEXT})


def fields_of(record: type[BaseModel], meanings: Mapping[str, str]) -> dg.TableSchema:
    """Describe a record as Dagster describes a table: name, type and meaning per field."""
    types = get_type_hints(record)
    return columns(*((name, _named(types[name]), meaning) for name, meaning in meanings.items()))


def rows_of(table: type[DeclarativeBase], meanings: Mapping[str, str]) -> dg.TableSchema:
    """Describe a table of the catalog: name, type and meaning per column."""
    types = {
        column.name: column.type.python_type.__name__ + " | None" * bool(column.nullable)
        for column in table.__table__.columns
    }
    return columns(*((name, types[name], meaning) for name, meaning in meanings.items()))


def _named(annotation: object) -> str:
    """Return the name of a type as it is written, without its modules."""
    if get_origin(annotation) in {Union, UnionType}:
        return " | ".join(map(_named, get_args(annotation)))
    if annotation is NoneType:
        return "None"
    if isinstance(annotation, type) and not get_args(annotation):
        return annotation.__name__
    return re.sub(r"\b(\w+\.)+(?=\w)", "", str(annotation))
