"""A newcomer's first hour, in short: a folder of photographs becomes a served model, by default."""

from pathlib import Path

import pytest

from tests.acceptance.case import SHORT_PHOTOS, run
from tests.stacks import running_stack


@pytest.mark.timeout(900)
def test_a_folder_of_photographs_becomes_a_served_model(tmp_path: Path) -> None:
    """On a stack of its own: nothing is set, and nothing but the import is done."""
    with running_stack(tmp_path / "stack", {}) as settings:
        figures = run(SHORT_PHOTOS, settings, tmp_path / "photos")
    assert figures.served, figures.verdicts
    assert figures.accuracy is not None
    assert figures.accuracy >= SHORT_PHOTOS.least_accuracy, figures
