"""Identifies the model that answers here, from Triton's configuration and the version folder."""

import json
from dataclasses import dataclass
from pathlib import Path

from visionops_assets.contracts import ModelCard, Role


@dataclass(frozen=True)
class ServedModel:
    """The model version that answers here: its name, number, role and card."""

    name: str
    version: int
    role: Role
    card: ModelCard
    folder: Path

    @classmethod
    def of(cls, args: dict[str, str]) -> "ServedModel":
        """Read the configuration and the version folder that Triton names.

        Triton's name and version may differ from the model's own: in a rehearsal, for a candidate,
        for a step.
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
