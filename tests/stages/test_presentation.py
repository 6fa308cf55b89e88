"""What Dagster can store of a table."""

from enum import StrEnum

import dagster as dg
import numpy as np
import pandas as pd
from dagster_shared.serdes import deserialize_value, serialize_value

from visionops_assets.stages.presentation import BAR_BLOCKS, bars, picture, table


class Kind(StrEnum):
    IMAGE = "image"


def test_any_cell_survives_dagsters_storage() -> None:
    frame = pd.DataFrame(
        {
            "kind": [Kind.IMAGE, Kind.IMAGE],
            "count": np.array([1, 2]),
            "share": [0.5, np.nan],
            "when": pd.to_datetime(pd.Series(["2026-01-01", None])),
        }
    )
    shown = deserialize_value(serialize_value(table(frame)), dg.TableMetadataValue)
    rows = [record.data for record in shown.records]
    assert rows[0] == {"kind": "image", "count": 1, "share": 0.5, "when": "2026-01-01 00:00:00"}
    assert rows[1]["share"] is None
    assert rows[1]["when"] is None


def test_a_table_shows_its_first_rows() -> None:
    assert len(table(pd.DataFrame({"n": range(100)}), max_rows=7).records) == 7


def test_a_picture_needs_no_file_server() -> None:
    assert picture(b"\x89PNG", "frames").md_str == "![frames](data:image/png;base64,iVBORw==)"


def test_bars_are_as_long_as_their_counts() -> None:
    counts = {"a": 400, "b": 100, "c": 1, "d": 0}
    rows = [record.data for record in bars(counts, "class", "n").records]
    assert {row["class"]: row["n"] for row in rows} == counts
    assert [len(str(row[""])) for row in rows] == [BAR_BLOCKS, BAR_BLOCKS // 4, 1, 0]


def test_nothing_has_no_bars() -> None:
    assert bars({}, "class", "n").records == []
