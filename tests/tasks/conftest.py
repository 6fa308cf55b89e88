"""The real pictures, and the small model, of the tests of `vision`."""

from tests.vision.conftest import _one_torch_thread, digits, trained

__all__ = ["_one_torch_thread", "digits", "trained"]
