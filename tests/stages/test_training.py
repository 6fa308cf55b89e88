"""What is trained follows from the declaration and the request; what cannot be is refused."""

import pytest

from visionops_assets.errors import InvalidRequestError
from visionops_assets.models.sections import Training
from visionops_assets.stages.requests import NETWORKS, TrainingRequest
from visionops_assets.stages.training.fitting import training_recipe
from visionops_assets.vision.architectures import BODIES
from visionops_assets.vision.recipe import Augmentation


def test_the_declaration_makes_the_recipe() -> None:
    augment = Augmentation(
        crop=0.01,
        shift=0.02,
        zoom=0.03,
        rotation_deg=4,
        brightness=0.05,
        colour=0.06,
        flip="horizontal",
    )
    declared = Training(network="resnet-18", steps=3, learning_rate=0.5, seed=5, augment=augment)
    recipe = training_recipe(declared, TrainingRequest())
    assert (recipe.architecture, recipe.steps, recipe.seed) == ("resnet-18", 3, 5)
    assert recipe.learning_rate == 0.5
    assert recipe.augmentation == augment


def test_nothing_is_mirrored_unless_asked_for() -> None:
    assert training_recipe(Training(), TrainingRequest()).augmentation.flip == "none"


def test_a_request_wins_over_the_declaration() -> None:
    declared = Training(steps=3, learning_rate=0.5)
    request = TrainingRequest(steps=1, learning_rate=1e-9, network="resnet-18")
    recipe = training_recipe(declared, request)
    assert (recipe.steps, recipe.learning_rate, recipe.architecture) == (1, 1e-9, "resnet-18")


@pytest.mark.parametrize(
    ("request_", "complaint"),
    [
        (TrainingRequest(steps=0), "steps is 0, and must be from 1"),
        (TrainingRequest(steps=-5), "steps is -5"),
        (TrainingRequest(steps=10**9), "at most|to 1,000,000"),
        (TrainingRequest(learning_rate=0), "learning_rate is 0, and must be above 0"),
        (TrainingRequest(learning_rate=50), "learning_rate is 50"),
        (TrainingRequest(learning_rate=float("nan")), "learning_rate is nan"),
        (TrainingRequest(network="resnet-huge"), "'resnet-huge': choose one of resnet-tiny"),
    ],
)
def test_what_cannot_be_trained_is_refused_in_one_sentence(
    request_: TrainingRequest, complaint: str
) -> None:
    with pytest.raises(InvalidRequestError, match=complaint) as caught:
        request_.check()
    assert "\n" not in str(caught.value)


def test_every_network_that_can_be_named_can_be_built() -> None:
    assert set(BODIES) == set(NETWORKS)
