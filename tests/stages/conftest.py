"""Unit tests of this room sign, and doubt labels of real pictures by a small trained model."""

from tests.own_key import own_signing_key
from tests.vision.conftest import _one_torch_thread, digits, trained

__all__ = ["_one_torch_thread", "digits", "own_signing_key", "trained"]
