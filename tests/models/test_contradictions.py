"""Which label counts where persons contradict each other: the most trusted, then the newest."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from visionops_assets.models.contradictions import WHOLE, Content, Part, Word, counting, settle

START = datetime(2026, 1, 1, tzinfo=UTC)
CONTENT: Content = ("aa", 0)


def word(
    number: int, label: str, author: str | None = "ann", trust: float = 1, media: int = 0
) -> Word:
    at = START + timedelta(seconds=number)
    return Word(number, UUID(int=media), label, author, "upload", trust, at)


words = st.builds(
    word,
    st.integers(0, 10**6),
    st.sampled_from(["cat", "dog", "cow"]),
    st.sampled_from(["ann", "ben", None]),
    st.sampled_from([0.0, 0.5, 1.0]),
    st.integers(0, 2),
)
said_of_one = st.lists(words, min_size=1, max_size=12, unique_by=lambda each: each.annotation_id)


@given(said=said_of_one, order=st.randoms())
def test_the_most_trusted_of_the_newest_words_counts_in_whatever_order_they_come(
    said: list[Word], order: Random
) -> None:
    shuffled = list(said)
    order.shuffle(shuffled)
    found = settle({CONTENT: said}, "classification")[CONTENT]
    assert settle({CONTENT: shuffled}, "classification")[CONTENT] == found
    newest = {
        (one.media_id, one.author): one for one in sorted(said, key=lambda one: one.annotation_id)
    }
    assert found.counts in newest.values()
    assert all(found.counts.rank >= one.rank for one in newest.values())
    assert set(found.others) == {one for one in newest.values() if one.label != found.counts.label}
    assert list(found.others) == sorted(found.others, key=lambda one: one.rank, reverse=True)


@given(said=said_of_one)
def test_words_that_agree_contradict_nothing(said: list[Word]) -> None:
    agreed = [word(one.annotation_id, "cat", one.author, one.trust) for one in said]
    assert settle({CONTENT: agreed}, "classification")[CONTENT].others == ()


def test_trust_comes_before_age() -> None:
    trusted, newer = word(1, "cat", "ann", 1.0), word(2, "dog", "ben", 0.9)
    found = settle({CONTENT: [trusted, newer]}, "classification")[CONTENT]
    assert (found.counts, found.others) == (trusted, (newer,))
    assert str(newer) == "dog (ben, trust 0.9)"
    assert str(trusted) == "cat (ann)"


def test_a_correction_contradicts_nothing() -> None:
    """Of one person's words about a file the newest stands, however far it is trusted."""
    said = [word(1, "cat"), word(2, "dog", trust=0.5)]
    found = settle({CONTENT: said}, "classification")[CONTENT]
    assert (found.counts, found.others) == (said[1], ())
    commands = [word(1, "cat", "labels-0123abcd"), word(2, "dog", "import-0123456789ab")]
    assert settle({CONTENT: commands}, "classification")[CONTENT].others == ()
    unknown = [word(1, "cat", None), word(2, "dog", None)]
    assert settle({CONTENT: unknown}, "classification")[CONTENT].others == ()


def test_who_was_asked_has_settled_what_was_said_before() -> None:
    said = [word(1, "cat"), word(2, "dog", "ben"), word(4, "cow", "cid")]
    answer = replace(word(3, "cat", "dan"), origin="conflicts")
    found = settle({CONTENT: [*said[:2], answer]}, "classification")[CONTENT]
    assert (found.counts, found.others) == (answer, ())
    doubted = replace(said[2], trust=0.5)
    found = settle({CONTENT: [*said[:2], answer, doubted]}, "classification")[CONTENT]
    assert (found.counts, found.others) == (answer, (doubted,))
    found = settle({CONTENT: [*said, answer]}, "classification")[CONTENT]
    assert found.counts == said[2]
    assert set(found.others) == {*said[:2], answer}


def test_two_files_of_one_content_contradict_each_other_though_one_person_labelled_both() -> None:
    said = [word(1, "cat", media=1), word(2, "dog", media=2)]
    found = settle({CONTENT: said, ("bb", 0): [said[0]], ("cc", 0): []}, "classification")
    assert found[CONTENT].others == (said[0],)
    assert found["bb", 0].others == ()
    assert ("cc", 0) not in found


@pytest.mark.parametrize(
    ("task", "one", "other", "differ"),
    [
        ("classification", "cat", "dog", True),
        ("multilabel", "cat, dog", "dog, cat", False),
        ("multilabel", "cat, dog", "cat", True),
        ("multilabel", "", "cat", True),
        ("multilabel", "", "", False),
    ],
)
def test_the_task_says_what_contradicts(task: str, one: str, other: str, differ: bool) -> None:
    found = settle({CONTENT: [word(1, one, "ann"), word(2, other, "ben")]}, task)[CONTENT]
    assert bool(found.others) is differ


parts = st.one_of(
    st.just(WHOLE),
    st.tuples(st.integers(0, 5), st.integers(1, 4)).map(lambda p: (float(p[0]), float(sum(p)))),
)


@given(said=said_of_one, of=st.lists(parts, min_size=12, max_size=12))
def test_words_said_in_the_order_of_counting_say_of_each_moment_what_is_settled(
    said: list[Word], of: list[Part]
) -> None:
    # A person's words about a file are equally trusted.
    even = [replace(one, trust=len(str(one.author)) / 10) for one in said]
    spans = dict(zip(even, of, strict=False))
    order = counting(spans, "classification")
    for moment in (each / 2 for each in range(22)):
        covering = [one for one in even if spans[one][0] <= moment < spans[one][1]]
        found = settle({CONTENT: covering}, "classification").get(CONTENT)
        painted = [one for one in order if spans[one][0] <= moment < spans[one][1]]
        assert painted[-1:] == ([found.counts] if found else [])
    assert len(set(order)) == len(order)


def test_a_word_that_counts_nowhere_is_left_out() -> None:
    whole, part, newer = word(1, "cat"), word(2, "dog", "ben", 0.5), word(3, "cow", "ann")
    spans = {whole: WHOLE, part: (1.0, 2.0), newer: (0.0, 2.0)}
    assert counting(spans, "classification") == [whole, newer]
    assert counting({whole: WHOLE}, "classification") == [whole]
