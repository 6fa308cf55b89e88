"""A version trained again is equal bit for bit, or it is said in what it differs."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
import torch

from tests.resources.whereabouts import members_of
from tests.stages.serving_exports import CARD, NAME, pictures
from tests.stages.test_model_files import network
from visionops_assets.catalog.schema import Snapshot
from visionops_assets.cli.reproduce import sentences
from visionops_assets.contracts import PreprocessingSpec
from visionops_assets.lineage.reproducing import (
    Model,
    Reproduction,
    Wanted,
    compare_weights,
    differing_fields,
    reproduce,
)
from visionops_assets.lineage.training_records import Conditions, Recorded, conditions_now
from visionops_assets.resources.snapshot_reading import SnapshotFiles
from visionops_assets.stages.training.fitting import train_on
from visionops_assets.vision.recipe import RoundResult, TrainingConfig

RECIPE = TrainingConfig(steps=4, seed=3, threads=1)
SNAPSHOT = Snapshot(
    snapshot_id=CARD.snapshot_id,
    model_name=NAME,
    watermark=datetime(2026, 3, 1, tzinfo=UTC),
    spec_id=PreprocessingSpec(size_px=16).spec_id,
    spec=PreprocessingSpec(size_px=16).model_dump(mode="json"),
    classes=list(CARD.classes),
    train_frames=60,
    holdout_frames=30,
    object_prefix="snapshots/ds-test",
)


def _frames() -> SnapshotFiles:
    """Return a snapshot of 90 frames."""
    members = members_of([f"f{i}" for i in range(90)], 16)
    members["label"] = [CARD.classes[i % 3] for i in range(90)]
    members["split"] = ["train"] * 60 + ["holdout"] * 30
    return SnapshotFiles(pictures(90), members)


@pytest.fixture(scope="module")
def data() -> SnapshotFiles:
    return _frames()


@pytest.fixture(scope="module")
def original(data: SnapshotFiles) -> Model:
    trained = train_on(data, SNAPSHOT, RECIPE, CARD.task, lambda _: None)
    return trained.module, trained.card


def again(
    data: SnapshotFiles,
    original: Model,
    recipe: TrainingConfig = RECIPE,
    conditions: Conditions | None = None,
    unknown: tuple[str, ...] = (),
) -> Reproduction:
    recorded = Recorded(recipe=recipe, conditions=conditions, unknown=unknown)
    wanted = Wanted(NAME, 7, SNAPSHOT, "run", recorded)
    reached: list[RoundResult] = []
    result = reproduce(wanted, original, data, train_on, reached.append)
    assert [each.step for each in reached] == [4]
    return result


def test_the_same_recipe_gives_the_same_bits(data: SnapshotFiles, original: Model) -> None:
    result = again(data, original, conditions=conditions_now(1))
    assert (result.is_equal, result.card, result.agreement) == (True, [], None)
    assert (result.weights.differing, result.weights.largest_difference) == (0, 0.0)
    assert result.differences == []
    first, last = sentences(result)
    assert first.startswith("Version 7 of classifier is equal bit for bit, all ")
    assert "on ds-test with seed 3, 1 threads and 4 steps" in first
    assert last == "All conditions are as they were noted."


def test_another_seed_gives_other_bits_and_it_is_told(data: SnapshotFiles, original: Model) -> None:
    then = conditions_now(1).model_copy(update={"threads": 2, "cpu_capability": "NEON"})
    result = again(data, original, replace(RECIPE, seed=4), then, ("dropout",))
    assert not result.is_equal
    assert 0 < result.weights.differing <= result.weights.tensors
    assert result.weights.largest_difference is not None
    assert result.weights.largest_difference > 0
    assert "seed" in result.card
    assert result.agreement is not None
    assert result.agreement.frames == 30
    said = sentences(result)
    assert said[0].startswith("Version 7 of classifier differs, trained again on ds-test")
    assert said[1].startswith(f"Weights: {result.weights.differing} of ")
    assert "seed" in said[2]
    assert said[3].startswith("Frames of the holdout with the same answer: ")
    assert said[4:6] == ["recipe: dropout: noted then, - here", "threads: 2 then, 1 here"]
    assert said[6].startswith("instruction set: NEON then, ")


def test_without_noted_conditions_that_is_said(data: SnapshotFiles, original: Model) -> None:
    result = again(data, original)
    assert result.is_equal
    assert result.differences is None
    assert sentences(result)[-1].startswith("It was trained before its conditions were noted")


def test_members_that_are_missing_are_told_first(data: SnapshotFiles, original: Model) -> None:
    fewer = replace(data.where(np.arange(90) != 7), missing=1)
    result = again(fewer, original, conditions=conditions_now(1))
    assert not result.is_equal
    assert result.differences is not None
    [told] = result.differences
    assert (told.about, told.then, told.now) == ("missing members", "0", "1")


def test_pixels_that_changed_are_told_by_the_card(data: SnapshotFiles, original: Model) -> None:
    module, card = original
    other = card.model_copy(update={"mean": (0.0, 0.0, 0.0)})
    assert differing_fields(card, other) == ["mean"]
    result = again(data, (module, other), conditions=conditions_now(1))
    assert (result.is_equal, result.weights.differing) == (False, 0)
    said = sentences(result)
    assert said[1] == "Model card: mean differ."
    assert (
        said[-1] == "All conditions are as they were noted. Then the data or this machine decide."
    )


def test_one_bit_is_a_difference_and_minus_nothing_is_not_nothing() -> None:
    one, other = network(0), network(0)
    assert compare_weights(one, other).differing == 0
    with torch.no_grad():
        one.head.bias.zero_()
        other.head.bias.zero_()[0] = 0.25
    found = compare_weights(one, other)
    assert (found.differing, found.largest_difference) == (1, 0.25)
    with torch.no_grad():
        other.head.bias.zero_().neg_()
    found = compare_weights(one, other)
    assert (found.differing, found.largest_difference) == (1, 0.0)


def test_networks_that_cannot_be_compared_differ_by_no_number() -> None:
    one, other = network(0), network(0)
    with torch.no_grad():
        other.head.bias[0] = float("nan")
    assert compare_weights(one, other).largest_difference is None
    wider = compare_weights(one, network(0, classes=9))
    assert (wider.differing, wider.largest_difference) == (2, None)
