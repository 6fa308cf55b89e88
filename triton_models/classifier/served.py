"""Which model answers here: read from what Triton says of it, and from its version folder."""

import json
from dataclasses import dataclass
from pathlib import Path

from visionops_assets.contracts import ModelCard, Role


@dataclass(frozen=True)
class ServedModel:
    """The version of a model that answers here: its name, number, role and card."""

    name: str
    version: int
    role: Role
    card: ModelCard
    folder: Path

    @classmethod
    def of(cls, args: dict[str, str]) -> "ServedModel":
        """Read the configuration and the version folder that Triton names.

        Triton's name and version may be others than the model's own: those of a rehearsal, of a
        candidate, of a step.
        """
        parameters = json.loads(args["model_config"])["parameters"]
        folder = Path(args["model_repository"]) / args["model_version"]
        return cls(
            name=parameters["model"]["string_value"],
            version=int(parameters["version"]["string_value"]),
            role=Role(parameters["role"]["string_value"]),
            card=ModelCard.model_validate_json((folder / "model.json").read_bytes()),
            folder=folder,
        )
