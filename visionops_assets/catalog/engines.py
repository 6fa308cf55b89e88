"""Notes and finds the TensorRT engines of model versions, one per kind of GPU."""

from collections.abc import Sequence
from enum import StrEnum

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from visionops_assets.catalog.schema import EngineRow


class EngineState(StrEnum):
    """How far an engine came. In each state but `serving`, ONNX serves."""

    READY = "ready"
    """Built, like PyTorch on the holdout, signed; no server was asked yet."""
    SERVING = "serving"
    UNUSABLE = "unusable"
    """Built, and too far from PyTorch."""
    FAILED = "failed"
    """Not built, by a fault: it is tried again."""
    REFUSED = "refused"
    """A server did not load it, or it answered wrongly there."""


WANTED_STATES = (EngineState.READY, EngineState.SERVING)


def note_engine(
    session: Session,
    *,
    model_name: str,
    model_version: int,
    gpu: str,
    recipe: str,
    state: EngineState,
    reason: str = "",
    key: str | None = None,
    plan_sha256: str | None = None,
) -> None:
    """Note the newest result of building an engine, in place of that before."""
    values = {
        "recipe": recipe,
        "state": state.value,
        "reason": reason,
        "key": key,
        "plan_sha256": plan_sha256,
    }
    row = {"model_name": model_name, "model_version": model_version, "gpu": gpu}
    statement = insert(EngineRow).values(row | values)
    session.execute(
        statement.on_conflict_do_update(
            index_elements=list(row), set_=values | {"updated_at": func.now()}
        )
    )


def engines_of(session: Session, model_name: str, model_version: int) -> Sequence[EngineRow]:
    """Return the engines of a version, by kind of GPU."""
    query = (
        select(EngineRow)
        .where(EngineRow.model_name == model_name, EngineRow.model_version == model_version)
        .order_by(EngineRow.gpu)
    )
    return session.scalars(query).all()


def wanted_engines(session: Session, model_name: str, model_version: int) -> list[EngineRow]:
    """Return the engines of a version that servers may load."""
    rows = engines_of(session, model_name, model_version)
    return [row for row in rows if row.state in WANTED_STATES]


def move_engine(session: Session, row: EngineRow, state: EngineState, reason: str = "") -> None:
    """Note that servers took an engine, or refused it."""
    row.state, row.reason, row.updated_at = state.value, reason, func.now()
    session.flush()
