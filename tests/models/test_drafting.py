"""What is declared for a folder of files."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from visionops_assets.models import read_text
from visionops_assets.models.drafting import FRAMES_BYTES, FolderFacts, draft, frames_of

PHOTOGRAPHS = FolderFacts({"cat": 300, "dog": 300}, [(640, 480), (480, 640), (500, 375)])


@pytest.mark.parametrize(
    ("facts", "frames"),
    [
        (PHOTOGRAPHS, {"size_px": 128, "resize": "letterbox"}),
        (FolderFacts({"a": 9, "b": 9}, [(28, 28)]), {"size_px": 32}),
        (FolderFacts({"a": 9, "b": 9}, [(100, 90)]), {"size_px": 64}),
        (FolderFacts({"a": 90_000, "b": 9}, [(640, 600)]), {"size_px": 32}),
        (FolderFacts({"a": 9, "b": 9}, []), {}),
    ],
    ids=["photographs", "small", "nearly square", "many", "unknown sizes"],
)
def test_frames_fit_the_pictures(facts: FolderFacts, frames: dict[str, object]) -> None:
    assert frames_of(facts) == frames


def test_a_draft_is_a_declaration_that_tells_what_was_seen() -> None:
    text = draft("pets", "classification", PHOTOGRAPHS, default=True)
    model = read_text(text, Path("models/pets/defs.yaml"))
    assert (model.name, model.default, model.frames.size_px) == ("pets", True, 128)
    assert "# Drafted from 600 images: cat (300), dog (300)." in text
    assert "500 x 375 to 640 x 480" in text
    assert (
        "default"
        not in yaml.safe_load(draft("pets", "classification", PHOTOGRAPHS, default=False))[
            "attributes"
        ]
    )


labels = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)
sizes = st.tuples(st.integers(1, 20_000), st.integers(1, 20_000))


@given(
    st.dictionaries(labels, st.integers(1, 10**6), min_size=2, max_size=4),
    st.lists(sizes, max_size=5),
)
def test_whatever_is_seen_the_draft_can_be_used(
    images: dict[str, int], sizes_px: list[tuple[int, int]]
) -> None:
    facts = FolderFacts(images, sizes_px)
    model = read_text(draft("m", "classification", facts, default=True), Path("models/m/defs.yaml"))
    size_px = model.frames.size_px
    assert size_px in (32, 64, 96, 128)
    if sizes_px and size_px > 32:
        assert sum(images.values()) * size_px**2 * 3 <= FRAMES_BYTES
