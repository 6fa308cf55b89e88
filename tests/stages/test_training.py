"""What is trained follows from the settings and the request; what cannot be is refused."""

import pytest

from visionops_assets.errors import InvalidRequestError
from visionops_assets.settings import Settings
from visionops_assets.stages.requests import NETWORKS, TrainingRequest
from visionops_assets.stages.training.fitting import training_recipe
from visionops_assets.vision.architectures import BODIES


def test_the_settings_make_the_recipe() -> None:
    settings = Settings(
        training_architecture="resnet-18",
        training_steps=3,
        training_learning_rate=0.5,
        training_seed=5,
        augment_crop=0.01,
        augment_shift=0.02,
        augment_zoom=0.03,
        augment_rotation_deg=4,
        augment_brightness=0.05,
        augment_colour=0.06,
        augment_flip="horizontal",
    )
    recipe = training_recipe(settings, TrainingRequest())
    assert (recipe.architecture, recipe.steps, recipe.seed) == ("resnet-18", 3, 5)
    assert recipe.learning_rate == 0.5
    assert list(vars(recipe.augmentation).values()) == [
        0.01,
        0.02,
        0.03,
        4,
        0.05,
        0.06,
        "horizontal",
    ]


def test_nothing_is_mirrored_unless_asked_for() -> None:
    assert training_recipe(Settings(), TrainingRequest()).augmentation.flip == "none"


def test_a_request_wins_over_the_settings() -> None:
    settings = Settings(training_steps=3, training_learning_rate=0.5)
    request = TrainingRequest(steps=1, learning_rate=1e-9, network="resnet-18")
    recipe = training_recipe(settings, request)
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
