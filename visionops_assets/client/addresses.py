"""What an address of a service says about the way to it."""

from urllib.parse import urlsplit

_LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})


def is_loopback(url: str) -> bool:
    """Whether it is of this machine. A proxy of the environment has no business on the way."""
    return urlsplit(url).hostname in _LOOPBACK_HOSTS
