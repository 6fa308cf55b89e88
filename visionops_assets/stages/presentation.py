"""Pictures and tables in Dagster's asset metadata.

Dagster 1.13 shows tables in place, and markdown of less than 1,000 characters. Longer markdown,
such as a picture, is behind a link. So tables are preferred.
"""

import base64
from collections.abc import Mapping
from math import ceil
from typing import Any

import dagster as dg
import pandas as pd

ROW_COUNT = "dagster/row_count"
"""Metadata by which Dagster shows the number of an asset's rows."""
BAR_BLOCKS = 40
"""Length of the longest bar."""
MAX_BARS = 200


def picture(png: bytes, caption: str) -> dg.MarkdownMetadataValue:
    """Show a PNG behind a link: as markdown with a data URI, which needs no file server."""
    return dg.MetadataValue.md(
        f"![{caption}](data:image/png;base64,{base64.b64encode(png).decode()})"
    )


def trace_command(kind: str, name: str) -> dg.TextMetadataValue:
    """Say by which command the lineage of a thing is read, beyond what Dagster knows of it."""
    return dg.MetadataValue.text(f"visionops trace {kind} {name}")


def bars(counts: Mapping[str, int], name: str, of: str) -> dg.TableMetadataValue:
    """Show a bar chart in place: a table with `name`, the count `of`, and bars made of blocks."""
    most = max(counts.values(), default=0) or 1
    rows = [
        {name: key, of: count, "": "\N{FULL BLOCK}" * ceil(BAR_BLOCKS * count / most)}
        for key, count in counts.items()
    ]
    return table(pd.DataFrame(rows, columns=[name, of, ""]), max_rows=MAX_BARS)


def table(frame: pd.DataFrame, max_rows: int = 50) -> dg.TableMetadataValue:
    """Show the first rows of a data frame as a table."""
    shown = frame.head(max_rows)
    rows = shown.astype(object).where(shown.notna(), None).to_dict(orient="records")
    records = [dg.TableRecord({str(k): _plain(v) for k, v in row.items()}) for row in rows]
    return dg.MetadataValue.table(
        records, schema=dg.TableSchema([dg.TableColumn(str(name)) for name in shown.columns])
    )


def _plain(value: Any) -> str | int | float | bool | None:
    # By exact type: Dagster does not store subclasses of str, such as enum members.
    return value if type(value) in {str, int, float, bool, type(None)} else str(value)
