import pytest

from visionops_assets.errors import SettingsError
from visionops_assets.settings import Settings
from visionops_assets.stages.training.fitting import training_recipe


def test_the_settings_make_the_recipe() -> None:
    settings = Settings(training_architecture="resnet-18", training_epochs=3, training_seed=5)
    recipe = training_recipe(settings)
    assert (recipe.architecture, recipe.epochs, recipe.seed) == ("resnet-18", 3, 5)


def test_a_request_says_otherwise() -> None:
    usual = training_recipe(Settings(training_epochs=3))
    recipe = training_recipe(Settings(training_epochs=3), epochs=1, learning_rate=1e-9)
    assert (recipe.epochs, recipe.learning_rate) == (1, 1e-9)
    assert recipe.batch_size == usual.batch_size


def test_an_unknown_architecture_is_refused_with_those_there_are() -> None:
    with pytest.raises(SettingsError, match=r"resnet-huge.*resnet-tiny, resnet-18"):
        training_recipe(Settings(training_architecture="resnet-huge"))
