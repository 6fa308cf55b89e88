"""Ports for servers of tests, which no connection to elsewhere takes meanwhile."""

import random

from visionops_assets.stack.ports import is_free

UNUSUAL_PORTS = range(20_000, 32_000)
"""Below those that Linux gives to outgoing connections."""


def free_ports(count: int) -> list[int]:
    """Choose ports on which nothing listens, at random, so that others choose other ones."""
    drawn = random.sample(UNUSUAL_PORTS, 10 * count)
    return [port for port in drawn if is_free(port)][:count]
