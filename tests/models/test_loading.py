"""What a folder of declarations is read as, and what a wrong one says."""

from pathlib import Path

import pytest

from tests.declared import declaration, declare, using
from visionops_assets.contracts.preprocessing import BlurMask, Clahe, EveryNth
from visionops_assets.errors import NotFoundError, SettingsError
from visionops_assets.models import MODEL_TYPE, find_model, model_named, read_models
from visionops_assets.settings import PACKAGED_MODELS
from visionops_assets.settings.gone import GONE


def test_the_packaged_model_keeps_its_name_and_has_the_defaults() -> None:
    (model,) = read_models(PACKAGED_MODELS)
    assert (model.name, model.task, model.default) == ("classifier", "classification", True)
    assert model.frames.spec_id == "pp-b66a118d8012"
    changed = model.model_dump(exclude_defaults=True)
    assert changed.keys() == {"name", "task", "default", "monitoring"}
    assert changed["monitoring"].keys() == {"audit_percent"}, "the demo labels each answer"


def test_the_default_model_comes_first(tmp_path: Path) -> None:
    for name, default in (("birds", False), ("cars", True), ("ants", False)):
        declare(tmp_path, name, default=default)
    assert [model.name for model in read_models(tmp_path)] == ["cars", "ants", "birds"]


def test_one_model_is_the_default_whether_it_says_so_or_not(tmp_path: Path) -> None:
    assert [model.name for model in read_models(declare(tmp_path, "birds"))] == ["birds"]


@pytest.mark.parametrize(
    ("marked", "said"), [((), "None does"), (("birds", "cars"), "Those that do: birds, cars")]
)
def test_of_several_models_exactly_one_is_the_default(
    tmp_path: Path, marked: tuple[str, ...], said: str
) -> None:
    for name in ("birds", "cars"):
        declare(tmp_path, name, default=name in marked)
    with pytest.raises(SettingsError, match=f"declares 2 models.*{said}"):
        read_models(tmp_path)


@pytest.mark.parametrize("folder", [".", "absent"])
def test_a_folder_without_a_model_says_how_to_declare_one(tmp_path: Path, folder: str) -> None:
    with pytest.raises(SettingsError, match=r"VISIONOPS_MODELS: .*visionops models new"):
        read_models(tmp_path / folder)


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ({"task": "divination"}, "task: .*no task 'divination': choose one of classification"),
        ({"training": {"steps": -3}}, "training.steps: Input should be greater than 0"),
        ({"training": {"network": "resnet-huge"}}, "training.network: .*'resnet-tiny'"),
        ({"training": {"augment": {"crop": 1}}}, "training.augment.crop: .* less than 1"),
        ({"trainin": {}}, "trainin: Extra inputs are not permitted"),
        ({"snapshots": {"holdout_percent": 120}}, "snapshots.holdout_percent: .*less than 100"),
        ({"frames": {"size_px": 4}}, "frames.size_px: .*greater than or equal to 8"),
        ({"frames": {"filters": "clahe"}}, "frames.filters: .*tuple"),
        ({"frames": {"filters": [{"name": "clahe", "clip": 99}]}}, "filters.0.clahe.clip: .*40"),
        ({"frames": {"filters": [{"name": "sepia"}]}}, "filters.0: .*sepia"),
        (
            {"frames": {"filters": [{"name": "clahe"}, {"name": "blur"}]}},
            "frames.filters: .*region, blur",
        ),
        ({"frames": {"video_sampling": {"by": "every_nth"}}}, "every_nth.n: .*required"),
        ({"gate": {"min_accuracy": float("nan")}}, "gate.min_accuracy: .*finite"),
    ],
)
def test_a_wrong_field_is_named_with_its_file_and_its_range(
    tmp_path: Path, attributes: dict[str, object], said: str
) -> None:
    declare(tmp_path, **attributes)  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match=f"classifier/defs.yaml: .*{said}"):
        read_models(tmp_path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "it is no YAML"),
        ("- a", "has to hold"),
        ("", "has to hold"),
        (f"type: {MODEL_TYPE}\n", "has to hold"),
        ("type: other.Thing\nattributes: {}\n", "type: it is 'other.Thing'"),
        (f"type: {MODEL_TYPE}\nattributes:\n", "attributes: Input should be"),
        (f"type: {MODEL_TYPE}\nattributes:\n  name: a\n  name: b\n", "name is written twice"),
        (f"type: {MODEL_TYPE}\nattributes: {{task: classification}}\n", "name: Field required"),
        ("!!python/object/apply:os.system ['true']\n", "it is no YAML"),
    ],
)
def test_a_file_that_is_no_declaration_is_refused(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "birds" / "defs.yaml"
    file.parent.mkdir()
    file.write_text(text)
    with pytest.raises(SettingsError, match=said):
        read_models(tmp_path)


def test_a_model_is_named_as_its_folder(tmp_path: Path) -> None:
    (declare(tmp_path, "birds") / "birds").rename(tmp_path / "cars")
    with pytest.raises(SettingsError, match="name: it is birds, and the file is that of cars"):
        read_models(tmp_path)


def test_a_model_that_is_not_declared_any_more_has_the_defaults(tmp_path: Path) -> None:
    with using(tmp_path, "birds", serving={"precision": "int8"}):
        assert model_named("birds").serving.precision == "int8"
        assert model_named("cats") == declaration("cats")
        with pytest.raises(NotFoundError, match=r"No model cats is declared. There are: birds\."):
            find_model("cats")


def test_files_of_a_config_map_are_read_too_and_none_twice(tmp_path: Path) -> None:
    declare(tmp_path / "of", "birds", default=True)
    declare(tmp_path, "cars")
    mounted = tmp_path / "..2026_11_30"
    mounted.mkdir()
    (tmp_path / "of" / "birds" / "defs.yaml").rename(mounted / "birds.yaml")
    (tmp_path / "birds.yaml").symlink_to(mounted / "birds.yaml")
    assert [model.name for model in read_models(tmp_path)] == ["birds", "cars"]
    declare(tmp_path, "birds")
    with pytest.raises(SettingsError, match="declares birds twice"):
        read_models(tmp_path)


def test_filters_and_sampling_are_read(tmp_path: Path) -> None:
    frames = {
        "filters": [{"name": "blur", "left": 0.5}, {"name": "clahe", "clip": 3}],
        "video_sampling": {"by": "every_nth", "n": 5},
        "jpeg_quality": 90,
    }
    (model,) = read_models(declare(tmp_path, frames=frames))
    assert model.frames.filters == (BlurMask(left=0.5), Clahe(clip=3))
    assert model.frames.video_sampling == EveryNth(n=5)
    assert model.frames.jpeg_quality == 90


def test_each_setting_that_moved_names_a_field_that_there_is() -> None:
    (model,) = read_models(PACKAGED_MODELS)
    moved = [said.split()[2] for said in GONE.values() if said.startswith("it is ")]
    assert len(moved) == 52
    for path in moved:
        found: object = model
        for name in path.split("."):
            found = getattr(found, name)
