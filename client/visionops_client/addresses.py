"""Says how to reach a service by its address."""

from urllib.parse import urlsplit

_LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})


def is_loopback(url: str) -> bool:
    """Say whether an address is on this machine: the environment's proxy is not for such ones."""
    return urlsplit(url).hostname in _LOOPBACK_HOSTS
