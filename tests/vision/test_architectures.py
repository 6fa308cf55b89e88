import itertools

import pytest
import torch

from visionops_assets.vision.architectures import BODIES, ResidualBlock, build


@pytest.mark.parametrize("architecture", BODIES)
@pytest.mark.parametrize("size_px", [8, 9, 64])
def test_any_size_goes_through(architecture: str, size_px: int) -> None:
    module = build(architecture, 5).eval()
    logits, embedding = module(torch.zeros(2, 3, size_px, size_px))
    assert logits.shape == (2, 5)
    assert embedding.shape == (2, module.embedding_size)


def test_resnet_18_is_the_published_one() -> None:
    """He et al. 2016, with 1,000 classes: 11,689,512 weights, and 512 to the head."""
    module = build("resnet-18", 1000)
    assert sum(weights.numel() for weights in module.parameters()) == 11_689_512
    assert module.embedding_size == 512


def test_a_block_of_equal_shapes_passes_its_input_on() -> None:
    block = ResidualBlock(4, 4, stride=1).eval()
    for weights in block.residual.parameters():
        torch.nn.init.zeros_(weights)
    features = torch.rand(1, 4, 6, 6)
    assert torch.equal(block(features), features)


@pytest.mark.parametrize(
    ("architecture", "shapes"),
    [
        ("resnet-tiny", [(16, 32)] * 3 + [(24, 16), (48, 8), (96, 4), (96, 1)]),
        (
            "resnet-18",
            [(64, 32)] * 3 + [(64, 16)] * 3 + [(128, 8)] * 2 + [(256, 4)] * 2 + [(512, 2)] * 2
            + [(512, 1)],
        ),
    ],
)  # fmt: skip
def test_features_grow_as_the_picture_shrinks(
    architecture: str, shapes: list[tuple[int, int]]
) -> None:
    """Channels and side after each part, of a picture of 64 pixels: He et al. 2016, table 1."""
    features, found = torch.zeros(1, 3, 64, 64), []
    body = build(architecture, 2).eval().body
    assert isinstance(body, torch.nn.Sequential)
    for part in list(body.children())[:-1]:
        features = part(features)
        found.append((features.shape[1], features.shape[2]))
    assert found == shapes


def test_resnet_tiny_has_the_weights_that_its_figures_were_measured_with() -> None:
    """Convolutions of 3 x 3 without bias, shortcuts of 1 x 1, and two per channel to normalise."""
    module = build("resnet-tiny", 10)
    widths, weights = [16, 24, 48, 96], 3 * 16 * 9 + 2 * 16
    for before, after in itertools.pairwise(widths):
        weights += before * after * 9 + after * after * 9 + before * after + 3 * 2 * after
    weights += 96 * 10 + 10
    assert sum(each.numel() for each in module.parameters()) == weights


def test_an_unknown_network_is_refused_by_the_names_of_those_there_are() -> None:
    with pytest.raises(ValueError, match="No architecture 'vgg'; there is resnet-tiny, resnet-18"):
        build("vgg", 2)
