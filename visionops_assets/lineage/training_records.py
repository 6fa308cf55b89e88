"""Notes how a version was trained, for `visionops reproduce`: the recipe, and the conditions.

The note is a file of the version's MLflow run. Versions of before have none; their recipe is among
the parameters of the run.
"""

import platform
import tempfile
from collections.abc import Iterator, Mapping
from hashlib import sha256
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from visionops_assets.contracts import TolerantRecord
from visionops_assets.errors import DamagedArtifactError, NotFoundError
from visionops_assets.resources.checksums import digest_of_code
from visionops_assets.resources.tracking import Tracking
from visionops_assets.vision.recipe import TrainingConfig

FOLDER = "training"
"""Artifact folder of the run that holds the note."""
RECORD_FILE = "record.json"
ROOMS = ("contracts", "vision", "tasks", "resources", "stages/training")
"""The code that decides about weights, by its folders."""
PACKAGE = Path(__file__).parents[1]
AUGMENTATION = "augment_"
"""Begins the names of MLflow's parameters of the augmentation."""
NOTHING = "None"
"""How MLflow writes a parameter that has no value."""
NAMED = {"architecture", "steps", "seed"}
"""Parameters that each training has."""
_RECIPE = TypeAdapter(TrainingConfig)


class Conditions(TolerantRecord):
    """All that decides about weights beside snapshot, seed and recipe. None: it cannot be known.

    `missing` members of the snapshot were not to be had: forgotten, or being made anew. `code` has
    the hash of each room that decides, `packages` the version of each distribution.
    """

    python: str
    machine: str
    processor: str | None = None
    cpu_capability: str
    threads: int
    missing: int = 0
    code: dict[str, str]
    packages: dict[str, str]

    @property
    def code_sha256(self) -> str:
        """Return one hash of all code that decides."""
        return _digest(self.code)

    @property
    def lock_sha256(self) -> str:
        """Return one hash of all installed distributions and their versions."""
        return _digest(self.packages)


class Difference(TolerantRecord):
    """A condition that is another one here than it was; None: nothing of that name was there."""

    about: str
    then: str | None
    now: str | None


class TrainingRecord(TolerantRecord):
    """The recipe of a training as it was followed, and the conditions of it."""

    recipe: dict[str, Any]
    conditions: Conditions


class Recorded(TolerantRecord):
    """A recipe to follow again, with what this code does not know of it, and the conditions.

    Without conditions the version is from before they were noted.
    """

    recipe: TrainingConfig
    unknown: tuple[str, ...] = ()
    conditions: Conditions | None = None


def conditions_now(threads: int, missing: int = 0) -> Conditions:
    """Return the conditions of a training in this process, with as many threads."""
    # PyTorch takes two seconds to import.
    import torch  # noqa: PLC0415

    return Conditions(
        python=platform.python_version(),
        machine=platform.machine(),
        processor=_processor(),
        cpu_capability=torch.backends.cpu.get_cpu_capability(),
        threads=threads,
        missing=missing,
        code={room: digest_of_code(PACKAGE / room) for room in ROOMS},
        packages={each.name: each.version for each in distributions() if each.name},
    )


def differences(then: Conditions, now: Conditions) -> list[Difference]:
    """List the conditions that are not the same, those that explain most first."""
    return [
        Difference(about=about, then=before, now=after)
        for about, before, after in _compared(then, now)
        if before != after
    ]


def _compared(then: Conditions, now: Conditions) -> Iterator[tuple[str, str | None, str | None]]:
    yield "missing members", str(then.missing), str(now.missing)
    yield "threads", str(then.threads), str(now.threads)
    yield "instruction set", then.cpu_capability, now.cpu_capability
    yield "machine", then.machine, now.machine
    if then.processor and now.processor:
        yield "processor", then.processor, now.processor
    for room in sorted(then.code.keys() | now.code.keys()):
        yield f"code of {room}", then.code.get(room), now.code.get(room)
    yield "Python", then.python, now.python
    first = ("torch", "numpy", "opencv-python-headless")
    names = then.packages.keys() | now.packages.keys()
    for name in sorted(names, key=lambda each: (each not in first, each)):
        yield f"package {name}", then.packages.get(name), now.packages.get(name)


def write_record(recipe: TrainingConfig, conditions: Conditions, folder: Path) -> Path:
    """Write the note of a training into a folder, and return its path."""
    record = TrainingRecord(recipe=_RECIPE.dump_python(recipe, mode="json"), conditions=conditions)
    path = folder / RECORD_FILE
    path.write_text(record.model_dump_json(indent=2))
    return path


def read_recorded(tracking: Tracking, mlflow_run_id: str) -> Recorded:
    """Read how a run trained.

    Raises:
        NotFoundError: MLflow has no such run, or nobody noted how it trained.
        DamagedArtifactError: the note is not what was written.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="visionops-") as folder:
            path = tracking.download(mlflow_run_id, f"{FOLDER}/{RECORD_FILE}", Path(folder))
            text = path.read_bytes()
    except NotFoundError:
        return Recorded(recipe=_recipe_of(tracking.run_params(mlflow_run_id), mlflow_run_id))
    try:
        record = TrainingRecord.model_validate_json(text)
        recipe = _RECIPE.validate_python(record.recipe)
    except ValidationError as error:
        raise DamagedArtifactError(
            f"{FOLDER}/{RECORD_FILE} of MLflow run {mlflow_run_id} is not what was written. "
            "Restore the artifact from a copy."
        ) from error
    known = _RECIPE.dump_python(recipe, mode="json")
    unknown = tuple(name for name in record.recipe if name not in known)
    return Recorded(recipe=recipe, unknown=unknown, conditions=record.conditions)


def _recipe_of(params: Mapping[str, str], mlflow_run_id: str) -> TrainingConfig:
    """Return the recipe that the parameters of a run say; `steps` are those of its budget."""
    values: dict[str, Any] = {name: each for name, each in params.items() if each != NOTHING}
    values["augmentation"] = {
        name.removeprefix(AUGMENTATION): each
        for name, each in values.items()
        if name.startswith(AUGMENTATION)
    }
    try:
        recipe = _RECIPE.validate_python(values)
    except ValidationError:
        recipe = None
    if recipe is None or not values.keys() >= NAMED:
        raise NotFoundError(
            f"MLflow run {mlflow_run_id} does not say how it trained: its parameters are not those "
            "of a training of VisionOps."
        )
    return recipe


def _processor() -> str | None:
    """Return the name of the processor, as Linux says it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return None
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, None)


def _digest(parts: Mapping[str, str]) -> str:
    lines = "".join(f"{name} {each}\n" for name, each in sorted(parts.items()))
    return sha256(lines.encode()).hexdigest()
