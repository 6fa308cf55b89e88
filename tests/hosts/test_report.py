import pytest

from tests.hosts.killing import Step, steps_of_round
from tests.hosts.names import SIZE_BYTES, hosts_file
from tests.hosts.network import layout
from tests.hosts.records import Attempt, Kill
from tests.hosts.report import events_published, longest_silence_s, recoveries_s


def attempt(ended_at_s: float, failure: str | None = None) -> Attempt:
    return Attempt("ingest", frozenset({"ingest-a"}), ended_at_s - 0.1, ended_at_s, failure)


def test_the_longest_silence_is_between_two_answers() -> None:
    attempts = [attempt(5.0), attempt(1.0), attempt(3.0, "503"), attempt(1.5), attempt(99.0)]
    assert longest_silence_s(attempts, until_s=6.0) == pytest.approx(3.5)
    assert longest_silence_s(attempts, until_s=10.0) == pytest.approx(5.0)
    assert longest_silence_s([], until_s=6.0) == 0.0


def test_recoveries_are_medians_by_kind() -> None:
    pods = frozenset({"ingest-a"})
    kills = [
        Kill("ingest", pods, 1.0, 1.5, 3.5),
        Kill("ingest", pods, 10.0, 10.0, 14.0),
        Kill("ingest", pods, 20.0, 20.0),
        Kill("relay", pods, 1.0, 2.0, 3.0),
    ]
    assert recoveries_s(kills) == {"ingest": 3.0, "relay": 1.0}


def test_the_events_that_a_relay_published_are_in_its_log() -> None:
    log = [
        '{"message": "relay started"}',
        '{"message": "published 3 event(s)"}',
        "no JSON",
        '{"message": "published 12 event(s)"}',
        '{"message": "pruned 9 published event(s)"}',
    ]
    assert events_published(log) == 15


def test_a_round_kills_each_kind_once_and_the_next_on_the_other_host() -> None:
    first, second = (steps_of_round(number, ["x", "y"]) for number in range(2))
    assert first == [Step("x", "host-a"), Step("y", "host-b"), Step("host", "host-a")]
    assert second == [Step("x", "host-b"), Step("y", "host-a"), Step("host", "host-b")]


def test_names_take_the_same_room_however_many_pods_are_ready() -> None:
    files = [hosts_file({"a": ["10.0.0.1"], "b": ready}) for ready in ([], ["10.0.0.2"] * 2)]
    assert {len(file) for file in files} == {SIZE_BYTES}
    assert files[1].split() == b"10.0.0.1 a 10.0.0.2 b 10.0.0.2 b".split()


def test_every_place_has_an_address_of_its_own() -> None:
    places = layout(["x", "y"])
    assert len({place.address for place in places.values()}) == len(places)
    assert [name for name, place in places.items() if place.host == "host-b"] == ["x-b", "y-b"]
