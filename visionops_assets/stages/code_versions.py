"""Names what code and settings decide about an asset, for Dagster to compare (`code_version`).

Dagster calls an asset out of date whose code version has changed, and starts nothing by that. Of
unchanged inputs and code it takes the result for unchanged, too. So only assets that follow from
their inputs have a code version, and those that also read the catalog say their data version.
"""

import hashlib
from pathlib import Path

from visionops_assets.resources.checksums import digest_of_code

PACKAGE = Path(__file__).parents[1]
DIGITS = 12
MAKES_FRAMES = "frames"
"""The stage whose results serve every task alike."""


def code_version(stage: str, *settings: object) -> str:
    """Name the code of a stage and of the rooms it works with, and the settings that decide."""
    rooms = ["vision"] if stage == MAKES_FRAMES else ["vision", "tasks"]
    code = "".join(digest_of_code(PACKAGE / room) for room in (*rooms, f"stages/{stage}"))
    return f"code {_short(code)}, settings {_short(repr(settings))}"


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]
