"""`VisionModel`: a declared model as a component of Dagster, whose tools read the same file."""

from typing import Any

import dagster as dg

from visionops_assets.models import ModelDeclaration
from visionops_assets.stages.model_stages import definitions_of


class VisionModel(dg.Component):
    """A declared model: its file says all that it is, and its stages follow from that."""

    def __init__(self, model: ModelDeclaration) -> None:
        self.model = model

    @classmethod
    def get_model_cls(cls) -> type[ModelDeclaration]:
        """Return the record of the file's attributes."""
        return ModelDeclaration

    @classmethod
    def load(cls, attributes: Any, context: dg.ComponentLoadContext) -> "VisionModel":
        """Make the component of the attributes of a file."""
        del context
        return cls(attributes)

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Return what the model has of its own; see `definitions_of`."""
        del context
        return definitions_of(self.model)
