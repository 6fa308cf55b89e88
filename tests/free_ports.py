"""Ports for servers of tests: no connection to elsewhere and no other test takes them."""

import os
import random

from visionops_assets.stack.ports import is_free

UNUSUAL_PORTS = range(20_000, 32_000)
"""Below those that Linux gives to outgoing connections."""

_given: set[int] = set()


def free_ports(count: int) -> list[int]:
    """Choose ports on which nothing listens, none of them twice.

    A server may be about to listen on one that was given. So each process of pytest has ports of
    its own; they are drawn, since another run of tests may go on beside this one.
    """
    drawn = random.sample(sorted(set(_own_ports()) - _given), 10 * count)
    chosen = [port for port in drawn if is_free(port)][:count]
    _given.update(chosen)
    return chosen


def _own_ports() -> range:
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    return UNUSUAL_PORTS[worker :: int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))]
