"""Messages that cannot be read: each is told of, and those behind it are read."""

import pytest
from pydantic import ConfigDict

from visionops_assets.catalog.batches import Problem
from visionops_assets.contracts import Record
from visionops_assets.resources.topic_reader import QueuedEvent
from visionops_assets.stages.dead_letters import UNREADABLE, parse, printable


class Told(Record):
    """A record of one number that knows no other field."""

    model_config = ConfigDict(extra="forbid")

    number: int


def message(offset: int, value: bytes, fault: str | None = None) -> QueuedEvent:
    return QueuedEvent(offset, 0, value, fault)


def test_messages_behind_one_that_cannot_be_read_are_read() -> None:
    good = b'{"number": 1}'
    queued = [
        message(0, good),
        message(1, b"", "no codec\x00"),
        message(2, b"junk"),
        message(3, good),
    ]
    parsed, problems = parse(queued, Told, "unreadable_told")
    assert [(offset, record.number) for offset, record in parsed] == [(0, 1), (3, 1)]
    assert problems.keys() == {1, 2}
    assert problems[1] == Problem(UNREADABLE, "no codec\N{REPLACEMENT CHARACTER}")
    assert problems[2].code == "unreadable_told"


@pytest.mark.parametrize(
    ("value", "detail"),
    [
        (b'{"number": "x"}', "number: Input should be a valid integer"),
        (b'{"number": 1, "pass\\u0000word": 2}', "Extra inputs are not permitted"),
        (b"[]", "Input should be an object"),
    ],
)
def test_a_problem_names_a_field_of_ours_and_no_word_of_theirs(value: bytes, detail: str) -> None:
    """What a stranger calls a field may be a secret, and what it holds as well."""
    _, problems = parse([message(0, value)], Told, "c")
    assert problems[0].detail.startswith(detail)
    assert "http" not in problems[0].detail


def test_what_no_terminal_shows_is_replaced() -> None:
    assert printable("a\x1b[31m\nb") == "a\N{REPLACEMENT CHARACTER}[31m\N{REPLACEMENT CHARACTER}b"
