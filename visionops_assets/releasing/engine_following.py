"""Serves the champion by its engines where they match, and by ONNX everywhere else.

A release always serves ONNX. Engines are taken after it, at each turn of `converge`: so one that
comes late is taken without a release, one that never comes stops nothing, and a restarted server
answers by ONNX until it has the engine again.
"""

from sqlalchemy.orm import Session

from visionops_assets.catalog.engines import (
    WANTED_STATES,
    EngineState,
    engines_of,
    move_engine,
)
from visionops_assets.catalog.releases import Action
from visionops_assets.catalog.schema import EngineRow, Release
from visionops_assets.releasing.audit import ENGINE_RULE, Audit, Order
from visionops_assets.releasing.controller import Controller
from visionops_assets.releasing.engines import Engine
from visionops_assets.releasing.replica import Version
from visionops_assets.releasing.replicas import Followed
from visionops_assets.settings import load_settings


def follow_engines(
    controller: Controller, session: Session, current: Release, served: Version
) -> list[str]:
    """Switch servers of the champion to their engines, or back to ONNX; say what was done.

    An engine that one server refuses is taken from all of its kind at the next turn, so that a
    version does not answer by two forms for long. The session holds the release lock.
    """
    name, number = current.model_name, current.model_version
    rows = engines_of(session, name, number)
    if not rows:
        return []
    gpus = load_settings().gpu_kinds
    wanted = {row.gpu: row for row in rows if row.gpu in gpus and row.state in WANTED_STATES}
    engines = {
        gpu: Engine(controller.object_store, name, number, row.key or "", row.plan_sha256 or "")
        for gpu, row in wanted.items()
    }
    followed = controller.replicas(name).follow_engines(served, engines, gpus)
    for gpu, row in wanted.items():
        _note(session, row, [each for each in followed if each.gpu == gpu])
    return [each.said for each in followed if each.said is not None]


def _note(session: Session, row: EngineRow, followed: list[Followed]) -> None:
    """Note that servers refused an engine, or that they serve by it, once each."""
    refusals = [each.said or "" for each in followed if each.is_refused]
    if refusals:
        reason = f"ONNX serves on {row.gpu}. {' '.join(refusals)}"
        move_engine(session, row, EngineState.REFUSED, reason)
        _audit(session, row, Action.ENGINE_REFUSED, reason)
    elif row.state == EngineState.READY and any(each.said is None for each in followed):
        move_engine(session, row, EngineState.SERVING)
        _audit(session, row, Action.ENGINE_SERVED, f"The engine {row.key} serves on {row.gpu}.")


def _audit(session: Session, row: EngineRow, action: Action, reason: str) -> None:
    Audit(row.model_name, row.model_version, Order(ENGINE_RULE, reason)).note(session, action)
