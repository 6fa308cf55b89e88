"""What a demo measured, as a file."""

import json
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(kw_only=True)
class Figures:
    """What all demos measure; each adds its own."""

    seconds_total: float = 0.0
    seconds_by_stage: dict[str, float] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        """Write the figures as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(vars(self), indent=2) + "\n")
