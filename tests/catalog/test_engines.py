"""What the catalog is told of an engine, without a catalog."""

from typing import Any, cast

from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import Session

from visionops_assets.catalog.engines import EngineState, note_engine

# SQLAlchemy gives it no types.
DIALECT: Any = cast("Any", postgresql.dialect)()


class FakeSession:
    """Notes what it was to execute."""

    def __init__(self) -> None:
        self.executed: list[Any] = []

    def execute(self, statement: Any) -> None:
        self.executed.append(statement.compile(dialect=DIALECT))


def test_the_newest_result_takes_the_place_of_the_one_before() -> None:
    session = FakeSession()
    note_engine(
        cast("Session", session),
        model_name="m",
        model_version=3,
        gpu="NVIDIA-L4",
        recipe="image fp16",
        state=EngineState.FAILED,
        reason="No GPU.",
    )
    (compiled,) = session.executed
    key, changed = str(compiled).split("DO UPDATE SET")
    assert "ON CONFLICT (model_name, model_version, gpu)" in key
    for column in ("recipe", "state", "reason", "key", "plan_sha256", "updated_at"):
        assert f" {column} = " in f" {changed}", "a column of the old result would stay"
    given = compiled.params
    assert (given["model_name"], given["model_version"], given["gpu"]) == ("m", 3, "NVIDIA-L4")
    assert (given["state"], given["reason"], given["key"]) == ("failed", "No GPU.", None)
