"""Declared models: a file per model says all that a model is; `load_models` reads them."""

from visionops_assets.models.declaration import ModelDeclaration
from visionops_assets.models.loading import (
    DECLARATION_FILE,
    MODEL_TYPE,
    declaration_files,
    default_model,
    find_model,
    load_models,
    model_named,
    read_model,
    read_models,
    read_text,
)

__all__ = [
    "DECLARATION_FILE",
    "MODEL_TYPE",
    "ModelDeclaration",
    "declaration_files",
    "default_model",
    "find_model",
    "load_models",
    "model_named",
    "read_model",
    "read_models",
    "read_text",
]
