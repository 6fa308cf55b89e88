"""Reads the declarations of a folder, one file per model: `NAME/defs.yaml`, or `NAME.yaml`.

The first is the file of a Dagster component; the second is for a ConfigMap of Kubernetes, which has
no folders. Templates of Dagster (`{{ ... }}`) are not evaluated.
"""

from functools import cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from visionops_assets.contracts.models import FIRST_TASK
from visionops_assets.errors import NotFoundError, SettingsError
from visionops_assets.models.declaration import ModelDeclaration
from visionops_assets.models.naming import identifier_of
from visionops_assets.settings import load_settings

DECLARATION_FILE = "defs.yaml"
MODEL_TYPE = "visionops_assets.VisionModel"
"""The component that a file declares, as Dagster finds it."""


def read_models(folder: Path) -> tuple[ModelDeclaration, ...]:
    """Read the declared models of a folder: the default one first, then by name.

    Raises:
        SettingsError: a file cannot be used, none is there, or it is not clear which of them is
            the default. The message names file, field and range.
    """
    models = [read_model(path) for path in declaration_files(folder)]
    if not models:
        raise SettingsError(
            f"VISIONOPS_MODELS: {folder} declares no model. A model is a file "
            f"{folder}/NAME/{DECLARATION_FILE}: visionops models new writes one."
        )
    names = [model.name for model in models]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise SettingsError(f"{folder} declares {', '.join(twice)} twice.")
    alike = [name for name in names if [*map(identifier_of, names)].count(identifier_of(name)) > 1]
    if alike:
        raise SettingsError(
            f"{folder} declares {' and '.join(alike)}. Dagster does not tell `-` from `_`: name "
            "one of them otherwise."
        )
    if len(models) == 1:
        return tuple(models)
    marked = [model.name for model in models if model.default]
    if len(marked) != 1:
        found = f"Those that do: {', '.join(marked)}." if marked else "None does."
        raise SettingsError(
            f"{folder} declares {len(models)} models, and exactly one of them says `default: true`,"
            f" which answers requests that name no model. {found}"
        )
    return tuple(sorted(models, key=lambda model: (not model.default, model.name)))


def declaration_files(folder: Path) -> list[Path]:
    """Return the files of a folder that declare models."""
    return sorted([*folder.glob(f"*/{DECLARATION_FILE}"), *folder.glob("*.yaml")])


def read_model(path: Path) -> ModelDeclaration:
    """Read one declaration.

    Raises:
        SettingsError: it cannot be used. The message names file, field and range.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: it cannot be read: {error}") from None
    return read_text(text, path)


def read_text(text: str, path: Path) -> ModelDeclaration:
    """Read a declaration that lies, or will lie, at a path.

    Raises:
        SettingsError: it cannot be used. The message names file, field and range.
    """
    try:
        found = yaml.load(text, _EachKeyOnce)  # noqa: S506 - a safe loader
    except yaml.YAMLError as error:
        raise SettingsError(f"{path}: it is no YAML: {error}") from None
    if not isinstance(found, dict) or found.keys() != {"type", "attributes"}:
        raise SettingsError(f"{path}: it has to hold `type: {MODEL_TYPE}` and `attributes:` alone.")
    if found["type"] != MODEL_TYPE:
        raise SettingsError(f"{path}: type: it is {found['type']!r}, and has to be {MODEL_TYPE}.")
    try:
        model = ModelDeclaration.model_validate(found["attributes"])
    except ValidationError as error:
        problems = "; ".join(f"{_place(e['loc'])}: {e['msg']}" for e in error.errors())
        raise SettingsError(f"{path}: {problems}") from None
    named = path.parent.name if path.name == DECLARATION_FILE else path.stem
    if model.name != named:
        raise SettingsError(
            f"{path}: name: it is {model.name}, and the file is that of {named}. They have to be "
            "the same."
        )
    return model


def load_models() -> tuple[ModelDeclaration, ...]:
    """Read the declared models of the installation, once per process: the default one first.

    Raises:
        SettingsError: see `read_models`.
    """
    return _read_once(load_settings().models)


def default_model() -> ModelDeclaration:
    """Return the model that requests mean which name none.

    Raises:
        SettingsError: see `read_models`.
    """
    return load_models()[0]


def find_model(name: str | None) -> ModelDeclaration:
    """Return a declared model by its name; the default one for None.

    Raises:
        NotFoundError: none of this name is declared.
        SettingsError: see `read_models`.
    """
    if name is None:
        return default_model()
    known = _by_name()
    if name not in known:
        raise NotFoundError(f"No model {name} is declared. There are: {', '.join(sorted(known))}.")
    return known[name]


def model_named(name: str) -> ModelDeclaration:
    """Return a model as declared, or with the defaults where it is not any more.

    A version that serves can be replaced also without a declaration.

    Raises:
        SettingsError: see `read_models`.
    """
    return _by_name().get(name) or ModelDeclaration(name=name, task=FIRST_TASK)


def _by_name() -> dict[str, ModelDeclaration]:
    return {model.name: model for model in load_models()}


@cache
def _read_once(folder: Path) -> tuple[ModelDeclaration, ...]:
    return read_models(folder)


def _place(place: tuple[int | str, ...]) -> str:
    return ".".join(map(str, place)) or "attributes"


class _EachKeyOnce(yaml.SafeLoader):  # type: ignore[misc]
    """Refuses a key that is written twice: YAML would take the last one, and say nothing."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if twice := [key for key in dict.fromkeys(keys) if keys.count(key) > 1]:
            raise yaml.constructor.ConstructorError(
                None, None, f"{', '.join(twice)} is written twice", node.start_mark
            )
        found: dict[Any, Any] = super().construct_mapping(node, deep)
        return found
