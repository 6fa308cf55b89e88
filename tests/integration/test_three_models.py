"""Three models on one stack: each learns from its own media, and one that is refused stops none.

One of them names all colours that a picture shows.
"""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
from sqlalchemy import func, select

from tests.declared import declare
from tests.stacks import SMALL, key_header, running_stack, visionops
from tests.waiting import eventually
from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.datasets import newest_snapshot
from visionops_assets.catalog.releases import champion
from visionops_assets.catalog.schema import Frame, Media, Verdict
from visionops_assets.contracts import Scope
from visionops_assets.settings import Settings

PER_CLASS = 40
TIMEOUT_S = 420
RECIPE = {
    "snapshots": {"min_holdout_per_class": 1, "pause_s": 3, "min_new_labels": 60},
    "training": {"steps": 80},
}
SHAPES = ("disc", "ring")
COLOURS = {"red": (200, 40, 40), "blue": (40, 40, 200), "green": (40, 160, 40)}
SETS = (*COLOURS, "blue, red")


def picture(rng: np.random.Generator, kind: str) -> np.ndarray:
    """Draw a disc or a ring, things of some colours, or noise that shows neither of its labels."""
    pixels = rng.integers(90, 130, (48, 48, 3)).astype(np.uint8)
    if kind in {"one", "other"}:
        return rng.integers(0, 256, (48, 48, 3)).astype(np.uint8)
    for number, name in enumerate(kind.split(", ")):
        colour = COLOURS.get(name, (230, 230, 230))
        at, radius = tuple(map(int, rng.integers(18, 30, 2) - 9 * number)), int(rng.integers(9, 14))
        cv2.circle(pixels, at, radius, colour[::-1], -1 if kind != "ring" else 3)
    return pixels


def folder_of(folder: Path, kinds: tuple[str, ...], seed: int) -> Path:
    """Write pictures of some kinds, each in the folder of its label."""
    rng = np.random.default_rng(seed)
    for kind in kinds:
        (folder / kind).mkdir(parents=True)
        for number in range(PER_CLASS):
            file = folder / kind / f"{number}.png"
            file.write_bytes(cv2.imencode(".png", picture(rng, kind))[1].tobytes())
    return folder


@pytest.fixture(scope="module")
def stack_of_three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    home = tmp_path_factory.mktemp("three")
    for name, size_px, task in (("noise-a", 16, "classification"), ("colours", 24, "multilabel")):
        chosen = {"media": {"sources": [f"{name}-*"]}, "frames": {"size_px": size_px}}
        declare(home / "declared", name, task=task, **RECIPE, **chosen)
    shapes: dict[str, Any] = {"default": True, "media": {"sources": ["shapes"]}}
    with running_stack(home, SMALL, model=RECIPE | shapes | {"frames": {"size_px": 24}}) as stack:
        yield stack


def imported(folder: Path, source: str) -> None:
    done = visionops("import", str(folder), "--source", source, "--label-by-folder")
    assert done.returncode == 0, done.stderr


def version_of(model: str) -> int | None:
    with Catalog().begin() as session:
        release = champion(session, model)
    return release.model_version if release else None


def answers_of(model: str, folder: Path) -> dict[str, str]:
    """The answer to each picture of a folder, by the command."""
    done = visionops("predict", str(folder), "--model", model, "--json")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    return {row["file"]: row["label"] for row in rows}


def test_each_learns_from_its_own_media_and_one_that_is_refused_stops_none(
    stack_of_three: Settings, tmp_path: Path
) -> None:
    # The one that cannot be learned comes first, and takes the first turn.
    imported(folder_of(tmp_path / "noise", ("one", "other"), 1), "noise-a-1")
    imported(folder_of(tmp_path / "shapes", SHAPES, 2), "shapes")
    imported(folder_of(tmp_path / "colours", SETS, 3), "colours-1")
    for model in ("classifier", "colours"):
        eventually(f"a first version of {model}", partial(version_of, model), TIMEOUT_S)

    with Catalog().begin() as session:
        verdicts = session.scalars(select(Verdict).where(Verdict.model_name == "noise-a")).all()
        classes = {
            model: snapshot.classes
            for model in ("classifier", "colours")
            if (snapshot := newest_snapshot(session, model)) is not None
        }
        frames = session.execute(
            select(Frame.spec_id, func.count()).join(Media).group_by(Frame.spec_id)
        ).all()
        of_sets = session.scalars(select(Verdict).where(Verdict.model_name == "colours")).first()
    assert of_sets is not None
    assert of_sets.verdict["score_name"] == "macro_f1"
    assert not any(verdict.passed for verdict in verdicts)
    assert version_of("noise-a") is None
    assert classes == {"classifier": list(SHAPES), "colours": sorted(COLOURS)}
    # Two models have frames of one spec, and the third has another.
    assert sorted(count for _, count in frames) == [8 * PER_CLASS] * 2

    unseen = folder_of(tmp_path / "unseen", (*SHAPES, *SETS), 4)
    for model, kinds in (("classifier", SHAPES), ("colours", SETS)):
        right = [
            label == kind for kind in kinds for label in answers_of(model, unseen / kind).values()
        ]
        assert np.mean(right) > 0.8
    url, headers = f"{stack_of_three.gateway_url}/v1/models", key_header(Scope.PREDICT)
    listed = httpx.get(url, headers=headers, trust_env=False).json()["models"]
    assert {each["name"]: each["version"] for each in listed} == {
        "classifier": version_of("classifier"),
        "colours": version_of("colours"),
        "noise-a": None,
    }
    assert "Champion: version" in visionops("releases", "ls", "--model", "colours").stdout
