"""How pictures and tables are shown in Dagster's asset metadata."""

import base64
from typing import Any

import dagster as dg
import pandas as pd


def picture(png: bytes, caption: str) -> dg.MarkdownMetadataValue:
    """Show a PNG in place: Dagster renders markdown, and a data URI needs no file server."""
    return dg.MetadataValue.md(
        f"![{caption}](data:image/png;base64,{base64.b64encode(png).decode()})"
    )


def table(frame: pd.DataFrame, max_rows: int = 50) -> dg.TableMetadataValue:
    """Show the first rows of a data frame as a table."""
    shown = frame.head(max_rows)
    rows = shown.astype(object).where(shown.notna(), None).to_dict(orient="records")
    records = [dg.TableRecord({str(k): _plain(v) for k, v in row.items()}) for row in rows]
    return dg.MetadataValue.table(
        records, schema=dg.TableSchema([dg.TableColumn(str(name)) for name in shown.columns])
    )


def _plain(value: Any) -> str | int | float | bool | None:
    # By exact type: Dagster does not store subclasses of str, which enum members are.
    return value if type(value) in {str, int, float, bool, type(None)} else str(value)
