"""Unit tests of this room sign."""

from tests.own_key import own_signing_key

__all__ = ["own_signing_key"]
