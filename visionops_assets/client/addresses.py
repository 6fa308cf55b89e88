"""Tells from a service's address how to reach it."""

from urllib.parse import urlsplit

_LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})


def is_loopback(url: str) -> bool:
    """Say whether it is of this machine. A proxy of the environment has no business on the way."""
    return urlsplit(url).hostname in _LOOPBACK_HOSTS
