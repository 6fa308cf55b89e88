"""How a version was trained is noted, read back, and compared with what is here."""

import json
from pathlib import Path
from shutil import copyfile
from typing import cast

import pytest

from visionops_assets.errors import DamagedArtifactError, NotFoundError
from visionops_assets.lineage import training_records
from visionops_assets.lineage.training_records import (
    RECORD_FILE,
    Conditions,
    conditions_now,
    differences,
    read_recorded,
    write_record,
)
from visionops_assets.models.sections import Training
from visionops_assets.resources.tracking import Tracking
from visionops_assets.stages.requests import TrainingRequest
from visionops_assets.stages.training.fitting import parameters, training_recipe
from visionops_assets.vision.recipe import Augmentation, TrainingConfig, budget_for

RECIPE = TrainingConfig(
    architecture="resnet-18",
    steps=7,
    learning_rate=0.003,
    weight_decay=0.1,
    augmentation=Augmentation(crop=0.2, flip="horizontal"),
    seed=5,
    threads=3,
)
THEN = Conditions(
    python="3.11.1",
    machine="x86_64",
    processor="A",
    cpu_capability="AVX2",
    threads=2,
    code={"vision": "1", "tasks": "2"},
    packages={"attrs": "1", "numpy": "2.0", "torch": "2.12"},
)


class RunFolder:
    """MLflow with one run: a file of it, and its parameters."""

    def __init__(self, folder: Path, params: dict[str, str] | None = None) -> None:
        self.file, self.params = folder / RECORD_FILE, params or {}

    def download(self, run_id: str, artifact_path: str, to: Path) -> Path:
        assert (run_id, artifact_path) == ("run", "training/record.json")
        if not self.file.exists():
            raise NotFoundError(artifact_path)
        copyfile(self.file, to / RECORD_FILE)
        return to / RECORD_FILE

    def run_params(self, run_id: str) -> dict[str, str]:
        assert run_id == "run"
        return self.params

    @property
    def resource(self) -> Tracking:
        return cast("Tracking", self)


def test_recipe_and_conditions_are_read_as_they_were_noted(tmp_path: Path) -> None:
    write_record(RECIPE, THEN, tmp_path)
    found = read_recorded(RunFolder(tmp_path).resource, "run")
    assert (found.recipe, found.conditions, found.unknown) == (RECIPE, THEN, ())


def test_what_a_newer_recipe_says_beyond_is_told(tmp_path: Path) -> None:
    path = write_record(RECIPE, THEN, tmp_path)
    record = json.loads(path.read_text())
    record["recipe"]["dropout"] = 0.5
    path.write_text(json.dumps(record | {"of_later": 1}))
    found = read_recorded(RunFolder(tmp_path).resource, "run")
    assert (found.recipe, found.unknown) == (RECIPE, ("dropout",))


@pytest.mark.parametrize("text", ["", "{}", '{"recipe": {"steps": "many"}}', "[" * 9])
def test_a_damaged_note_is_told_of(tmp_path: Path, text: str) -> None:
    (tmp_path / RECORD_FILE).write_text(text)
    with pytest.raises(DamagedArtifactError, match=r"training/record.json of MLflow run run"):
        read_recorded(RunFolder(tmp_path).resource, "run")


@pytest.mark.parametrize("recipe", [RECIPE, training_recipe(Training(), TrainingRequest())])
def test_the_recipe_of_an_earlier_version_is_among_its_parameters(
    tmp_path: Path, recipe: TrainingConfig
) -> None:
    """As MLflow gives them back. The steps are those of the budget, which makes the same budget."""

    class Cut:
        snapshot_id = "ds-1"

    budget = budget_for(100, 3, recipe.steps)
    logged = parameters(recipe, budget, Cut())  # type: ignore[arg-type]
    params = {name: str(value) for name, value in logged.items()}
    found = read_recorded(RunFolder(tmp_path, params).resource, "run")
    assert found.conditions is None
    assert budget_for(100, 3, found.recipe.steps) == budget
    assert found.recipe == TrainingConfig(**(vars(recipe) | {"steps": budget.steps}))


@pytest.mark.parametrize("params", [{}, {"architecture": "resnet-tiny", "seed": "1"}])
def test_a_run_that_says_nothing_is_not_trained_again(
    tmp_path: Path, params: dict[str, str]
) -> None:
    with pytest.raises(NotFoundError, match="does not say how it trained"):
        read_recorded(RunFolder(tmp_path, params).resource, "run")


def test_equal_conditions_differ_in_nothing() -> None:
    assert differences(THEN, THEN) == []
    here = conditions_now(2)
    assert differences(here, conditions_now(2)) == []
    assert here.code.keys() == set(training_records.ROOMS)
    assert {"torch", "numpy"} <= here.packages.keys()


def test_each_condition_is_told_those_that_explain_most_first() -> None:
    now = Conditions(
        python="3.11.2",
        machine="arm64",
        processor=None,
        cpu_capability="NEON",
        threads=4,
        missing=5,
        code={"vision": "1", "tasks": "3"},
        packages={"attrs": "2", "numpy": "2.0", "torch": "2.13", "new": "1"},
    )
    found = [(each.about, each.then, each.now) for each in differences(THEN, now)]
    assert found == [
        ("missing members", "0", "5"),
        ("threads", "2", "4"),
        ("instruction set", "AVX2", "NEON"),
        ("machine", "x86_64", "arm64"),
        ("code of tasks", "2", "3"),
        ("Python", "3.11.1", "3.11.2"),
        ("package torch", "2.12", "2.13"),
        ("package attrs", "1", "2"),
        ("package new", None, "1"),
    ]


def test_one_hash_stands_for_all_code_and_one_for_all_packages() -> None:
    other = THEN.model_copy(update={"code": {"vision": "1", "tasks": "3"}})
    assert other.code_sha256 != THEN.code_sha256
    assert other.lock_sha256 == THEN.lock_sha256
    later = THEN.model_copy(update={"packages": {**THEN.packages, "attrs": "2"}})
    assert later.lock_sha256 != THEN.lock_sha256
