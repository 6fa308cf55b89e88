"""`visionops models new | check | ls`: declarations are written, tried out and listed."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.catalog.standings import standing, version
from tests.declared import declare, using
from tests.vision.corpus import picture, saved
from visionops_assets.catalog.next_steps import Part
from visionops_assets.cli import app, models
from visionops_assets.errors import InvalidRequestError, SettingsError
from visionops_assets.models import read_models


def run(*words: str) -> Result:
    return CliRunner().invoke(app, ["models", *words])


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for label in ("cat", "dog"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for number in range(3):
            file = tmp_path / "photos" / label / f"{number}.png"
            file.write_bytes(saved(picture(), "PNG"))
    (tmp_path / "photos" / "cat" / "film.mp4").write_bytes(b"no image")
    return tmp_path / "photos"


def new(name: str, photos: Path, folder: Path, task: str = "classification") -> Result:
    return run("new", name, "--task", task, "--from", str(photos), "--into", str(folder))


def test_a_folder_of_files_becomes_a_declaration(photos: Path, tmp_path: Path) -> None:
    told = new("pets", photos, tmp_path / "models")
    assert told.exit_code == 0
    assert "Images by class: cat 3, dog 3." in told.stdout
    assert f"export VISIONOPS_MODELS={tmp_path / 'models'}" in told.stdout
    (model,) = read_models(tmp_path / "models")
    assert (model.name, model.default) == ("pets", True)
    assert "1 videos or other files" in (tmp_path / "models/pets/defs.yaml").read_text()
    assert new("birds", photos, tmp_path / "models").exit_code == 0
    assert [model.name for model in read_models(tmp_path / "models")] == ["pets", "birds"]


@pytest.mark.parametrize(
    ("name", "task", "folder", "said"),
    [
        ("pets", "classification", "photos", "exists already"),
        ("birds", "divination", "photos", "no task 'divination'"),
        ("a b", "classification", "photos", "name: .*pattern"),
        ("birds", "classification", "photos/cat", "images in 0 folder"),
        ("birds", "classification", "nowhere", "is no folder"),
    ],
)
def test_what_cannot_be_declared_is_refused_and_nothing_is_written(
    photos: Path, tmp_path: Path, name: str, task: str, folder: str, said: str
) -> None:
    into = declare(tmp_path / "models", "pets")
    before = sorted(into.rglob("*"))
    refused = new(name, photos.parent / folder, into, task)
    assert isinstance(refused.exception, InvalidRequestError | SettingsError)
    with pytest.raises(type(refused.exception), match=said):
        raise refused.exception
    assert sorted(into.rglob("*")) == before


def test_each_file_is_tried_out_though_another_is_wrong(tmp_path: Path) -> None:
    declare(tmp_path, "pets", default=True)
    declare(tmp_path, "birds", training={"steps": 0})
    said = run("check", str(tmp_path))
    assert said.exit_code == 1
    assert "pets, classification: it can be used." in said.stdout
    assert "birds/defs.yaml: training.steps: Input should be greater than 0" in said.stdout
    declare(tmp_path, "birds")
    assert run("check", str(tmp_path)).exit_code == 0
    declare(tmp_path, "birds", default=True)
    assert "exactly one" in str(run("check", str(tmp_path)).exception)


def test_models_are_listed_with_what_serves_of_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(tmp_path / "models", "pets")
    champion = version(1, part=Part.CHAMPION)
    known = {"birds": standing(champion, champion=1), "pets": standing()}
    monkeypatch.setattr(models, "standing_of", known.__getitem__)
    with using(tmp_path / "models", "birds", default=True):
        rows = [json.loads(line) for line in run("ls", "--json").stdout.splitlines()]
    assert [(row["model"], row["default"], row["champion_version"]) for row in rows] == [
        ("birds", True, 1),
        ("pets", False, None),
    ]
    assert rows[1]["versions"] == 0
