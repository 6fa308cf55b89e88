import socket
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from visionops_assets.stack import ports
from visionops_assets.stack.ports import DEFAULT_PORTS, choose_ports, is_free


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def free_except(monkeypatch: pytest.MonkeyPatch, *taken: int) -> None:
    monkeypatch.setattr(ports, "is_free", lambda port: port not in taken)


def test_a_port_with_a_listener_is_not_free(taken_port: int) -> None:
    assert not is_free(taken_port)


def test_a_port_whose_listener_has_gone_is_free_at_once() -> None:
    with socket.socket() as listener:
        # As servers do.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port))
        server, _ = listener.accept()
        # The side that closes first is left in TIME_WAIT.
        server.close()
        client.close()
    assert is_free(port)


def test_defaults_are_chosen_when_free(monkeypatch: pytest.MonkeyPatch) -> None:
    free_except(monkeypatch)
    assert choose_ports({}) == dict(DEFAULT_PORTS)


def test_a_kept_port_is_preferred_to_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    free_except(monkeypatch)
    assert choose_ports({"kafka": 23_456})["kafka"] == 23_456


def test_a_taken_default_is_replaced_by_a_free_port(monkeypatch: pytest.MonkeyPatch) -> None:
    free_except(monkeypatch, 5432)
    chosen = choose_ports({})["postgres"]
    assert chosen != 5432
    assert 20_000 <= chosen < 32_000


def test_a_kept_port_that_was_taken_falls_back_to_the_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    free_except(monkeypatch, 23_456)
    assert choose_ports({"kafka": 23_456})["kafka"] == DEFAULT_PORTS["kafka"]


def test_no_free_port_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "is_free", lambda _port: False)
    with pytest.raises(OSError, match="no free port"):
        choose_ports({})


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(
    kept=st.dictionaries(
        st.sampled_from(sorted(DEFAULT_PORTS)),
        st.sampled_from([*DEFAULT_PORTS.values(), 20_000, 20_001]),
    ),
    taken=st.frozensets(st.sampled_from([*DEFAULT_PORTS.values(), 20_000, 20_001])),
)
def test_chosen_ports_are_distinct_and_free(
    monkeypatch: pytest.MonkeyPatch, kept: dict[str, int], taken: frozenset[int]
) -> None:
    free_except(monkeypatch, *taken)
    chosen = choose_ports(kept)
    assert chosen.keys() == DEFAULT_PORTS.keys()
    assert len(set(chosen.values())) == len(chosen)
    assert not taken & set(chosen.values())
