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
