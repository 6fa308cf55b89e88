"""One case: a folder is imported as a user would, and what comes of it is measured."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from sqlalchemy import select

from tests.acceptance.pictures import Picture, garments, photographs, write
from tests.declared import model_of
from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.releases import champion
from visionops_assets.catalog.schema import Verdict
from visionops_assets.contracts import GateVerdict
from visionops_assets.resources.triton import TritonServer
from visionops_assets.resources.triton_answers import ServedAnswer
from visionops_assets.settings import Settings

POLL_S = 1.0


@dataclass(frozen=True)
class Case:
    """What is imported, what is asked afterwards, and how good the answers must be."""

    name: str
    training: Callable[[], Iterator[Picture]]
    test: Callable[[], Iterator[Picture]]
    least_accuracy: float
    most_minutes: float


CASES = {
    "photos": Case(
        name="photos",
        training=lambda: photographs(200, seed=1),
        test=lambda: photographs(50, seed=2),
        least_accuracy=0.90,
        most_minutes=10,
    ),
    "fashion": Case(
        name="fashion",
        training=lambda: garments("train", 12_000),
        test=lambda: garments("t10k", 2_000),
        least_accuracy=0.89,
        most_minutes=40,
    ),
}


@dataclass
class Figures:
    """What came of a case. `minutes` runs from the import's start to the first champion."""

    least_accuracy: float
    most_minutes: float
    served: bool = False
    accuracy: float | None = None
    minutes: float | None = None
    verdicts: list[str] = field(default_factory=list)
    is_met: bool = False

    def as_json(self) -> dict[str, object]:
        """Return all figures by name."""
        return asdict(self)


def run(case: Case, settings: Settings, folder: Path) -> Figures:
    """Import the case's folder into a running stack, leave all else to its sensors, and measure."""
    figures = Figures(case.least_accuracy, case.most_minutes)
    write(case.training(), folder)
    started_s = time.monotonic()
    _import(folder)
    figures.served = _is_served(model_of(settings).name, started_s + 60 * case.most_minutes)
    figures.minutes = round((time.monotonic() - started_s) / 60, 2)
    figures.verdicts = [f"{verdict.state.value}: {verdict.reason}" for verdict in _verdicts()]
    if figures.served:
        figures.accuracy = _accuracy(model_of(settings).name, list(case.test()))
        figures.is_met = figures.accuracy >= case.least_accuracy
    return figures


def _import(folder: Path) -> None:
    command = [sys.executable, "-m", "visionops_assets", "import", str(folder), "--label-by-folder"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def _is_served(model: str, deadline_s: float) -> bool:
    """Wait for a champion; False at the deadline, or when the gate has not passed a model."""
    while time.monotonic() < deadline_s:
        with Catalog().begin() as session:
            if champion(session, model) is not None:
                return True
        if any(not verdict.passed for verdict in _verdicts()):
            return False
        time.sleep(POLL_S)
    return False


def _verdicts() -> list[GateVerdict]:
    with Catalog().begin() as session:
        rows = session.scalars(select(Verdict.verdict).order_by(Verdict.verdict_id)).all()
    return [GateVerdict.model_validate(row) for row in rows]


def _accuracy(model: str, pictures: list[Picture]) -> float:
    """Ask the served model over gRPC. An image that it cannot use counts as wrong."""
    answers = TritonServer().predict_each(
        model, [picture.data for picture in pictures], task="classification"
    )
    right = [
        isinstance(answer, ServedAnswer) and answer.label == picture.label
        for answer, picture in zip(answers, pictures, strict=True)
    ]
    return round(sum(right) / len(right), 4)
