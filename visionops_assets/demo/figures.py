"""Writes the figures of a demo into a file."""

import json
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(kw_only=True)
class Figures:
    """The figures of every demo; each adds its own."""

    seconds_total: float = 0.0
    seconds_by_stage: dict[str, float] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        """Write the figures as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(vars(self), indent=2) + "\n")


@dataclass
class DriftFigures(Figures):
    """The figures of the drift demo; written to `build/drift.json`.

    Accuracies are of the same images, none of them ever trained on: unchanged, changed and answered
    by the old model, changed and answered by the new one. `timeline` has the events with their
    seconds.
    """

    labels_to_alarm: int = 0
    accuracy_before: float = 0.0
    accuracy_drifted: float = 0.0
    accuracy_after: float = 0.0
    requests: int = 0
    failed_requests: int = 0
    old_version: int = 0
    new_version: int = 0
    new_labels_trained_on: int = 0
    refused_version: int = 0
    labels_to_rollback: int = 0
    timeline: dict[str, float] = field(default_factory=dict)
