"""Declares models for tests: a folder as `VISIONOPS_MODELS` names one."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from visionops_assets.models import DECLARATION_FILE, MODEL_TYPE, ModelDeclaration, read_models
from visionops_assets.settings import Settings, load_settings


def declare(folder: Path, name: str = "classifier", **attributes: Any) -> Path:
    """Declare a model in a folder, and return the folder."""
    file = folder / name / DECLARATION_FILE
    file.parent.mkdir(parents=True, exist_ok=True)
    given = {"name": name, "task": "classification"} | attributes
    file.write_text(yaml.safe_dump({"type": MODEL_TYPE, "attributes": given}))
    return folder


def declaration(name: str = "classifier", **sections: Any) -> ModelDeclaration:
    """Return a declaration with these sections."""
    return ModelDeclaration.model_validate({"name": name, "task": "classification"} | sections)


def model_of(settings: Settings) -> ModelDeclaration:
    """Return the default model of an installation."""
    return read_models(settings.models)[0]


@contextmanager
def using(folder: Path, name: str = "classifier", **sections: Any) -> Iterator[None]:
    """Let this process have one model for the length of the block; see `use`."""
    try:
        with pytest.MonkeyPatch.context() as patch:
            use(patch, folder, name, **sections)
            yield
    finally:
        load_settings.cache_clear()


def use(patch: pytest.MonkeyPatch, folder: Path, name: str = "classifier", **sections: Any) -> None:
    """Let this process have one model, declared in a folder that has none.

    After `patch` is undone, clear the cache of `load_settings`.
    """
    patch.setenv("VISIONOPS_MODELS", str(declare(folder, name, **sections)))
    load_settings.cache_clear()
