"""Two servers of tests never get one port, whoever of them listens first."""

import pytest

from tests import free_ports as module
from tests.free_ports import UNUSUAL_PORTS, free_ports


def test_no_port_is_given_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_given", set())
    given = [port for _ in range(20) for port in free_ports(22)]
    assert len(set(given)) == len(given) == 20 * 22
    assert set(given) <= set(UNUSUAL_PORTS)


def test_processes_of_one_run_have_ports_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_XDIST_WORKER_COUNT", "3")
    ports: set[int] = set()
    for worker in ("gw0", "gw1", "gw2"):
        monkeypatch.setenv("PYTEST_XDIST_WORKER", worker)
        own = set(module._own_ports())
        assert len(own) == len(UNUSUAL_PORTS) / 3
        assert not own & ports
        ports |= own
    assert ports == set(UNUSUAL_PORTS)
