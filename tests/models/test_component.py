"""The file of a declaration is a component, as Dagster's own loader of folders reads it."""

from pathlib import Path

import dagster as dg
import pytest
from dagster.components.testing import create_defs_folder_sandbox

import visionops_assets
from visionops_assets.component import VisionModel
from visionops_assets.models import DECLARATION_FILE, read_model
from visionops_assets.settings import PACKAGED_MODELS
from visionops_assets.stages.model_stages import definitions_of

# Dagster shows where a component's file lies by classes that it calls beta, and reads it by what
# pydantic calls deprecated.
pytestmark = [
    pytest.mark.filterwarnings("ignore::dagster.BetaWarning"),
    pytest.mark.filterwarnings("ignore:`parse_obj_as` is deprecated"),
]
PACKAGED = PACKAGED_MODELS / "classifier" / DECLARATION_FILE


def loaded(text: str) -> tuple[dg.Component, dg.Definitions]:
    with create_defs_folder_sandbox() as sandbox:
        folder: Path = sandbox.defs_folder_path / "classifier"
        folder.mkdir()
        (folder / DECLARATION_FILE).write_text(text)
        with sandbox.load_component_and_build_defs(defs_path=folder) as found:
            return found


def test_the_packaged_file_is_the_component_of_its_model() -> None:
    component, definitions = loaded(PACKAGED.read_text())
    assert isinstance(component, VisionModel)
    assert component.model == read_model(PACKAGED)
    ours = definitions_of(component.model)
    assert names_of(definitions) == names_of(ours)
    assert "classifier/trained_model" in names_of(ours)


def names_of(definitions: dg.Definitions) -> set[str]:
    assets = [each for each in definitions.assets or [] if isinstance(each, dg.AssetsDefinition)]
    sensors = [sensor.name for sensor in definitions.sensors or []]
    return {asset.key.to_user_string() for asset in assets} | set(sensors)


def test_a_field_that_is_wrong_is_named() -> None:
    with pytest.raises(Exception, match="Error while loading component classifier") as refused:
        loaded(PACKAGED.read_text() + "  frames: {size_px: 2}\n")
    assert "size_px" in str(refused.value.__cause__)


def test_the_package_has_no_other_names() -> None:
    assert visionops_assets.VisionModel is VisionModel
    with pytest.raises(AttributeError, match="no attribute 'Vision'"):
        visionops_assets.Vision  # noqa: B018
