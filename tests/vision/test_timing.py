"""Times of pictures: right where a file knows them, repaired where it does not, never falling."""

from fractions import Fraction
from itertools import accumulate, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from visionops_assets.vision.timing import MAX_REORDERED, ShowTimes

MILLISECOND = Fraction(1, 1_000)
STEP = 40

gaps = st.lists(st.integers(1, 5_000), min_size=1, max_size=60)
starts = st.integers(-(2**40), 2**40)


def play(
    sent: list[int | None], order: list[int], own: list[int | None], delay: int, reorders: bool
) -> list[float]:
    """Send packets as they come, and show pictures as a decoder does.

    Picture i is that of packet `order[i]`; it comes once `delay` packets follow all that it needs.
    """
    times = ShowTimes(MILLISECOND, STEP)
    shown: list[float] = []
    needed = list(accumulate(order, max))
    for number, time in enumerate(sent):
        times.send(time)
        while len(shown) < len(order) and needed[len(shown)] + delay <= number:
            shown.append(times.show(own[len(shown)], reorders=reorders))
    return shown + [times.show(time, reorders=reorders) for time in own[len(shown) :]]


@st.composite
def orders(draw: st.DrawFn, count: int) -> list[int]:
    """Return the packet of each picture shown: runs of up to 16 pictures come before their last."""
    order: list[int] = []
    while len(order) < count:
        run = min(draw(st.integers(1, MAX_REORDERED + 1)), count - len(order))
        first = len(order)
        order += [*range(first + 1, first + run), first]
    return order


@given(data=st.data(), gaps=gaps, start=starts, delay=st.integers(1, 4))
def test_times_of_presentation_stay_as_they_are(
    data: st.DataObject, gaps: list[int], start: int, delay: int
) -> None:
    shown_at = list(accumulate(gaps, initial=start))
    order = data.draw(orders(len(shown_at)))
    sent: list[int | None] = [0] * len(order)
    for picture, packet in enumerate(order):
        sent[packet] = shown_at[picture]
    found = play(sent, order, list(shown_at), delay, reorders=True)
    assert found == pytest.approx([(time - start) / 1_000 for time in shown_at])


@given(data=st.data(), gaps=gaps, start=starts, delay=st.integers(1, 4), own=st.booleans())
def test_times_of_decoding_are_dealt_out_in_the_order_shown(
    data: st.DataObject, gaps: list[int], start: int, delay: int, own: bool
) -> None:
    """Whether or not each picture carries the time of its packet."""
    sent: list[int | None] = list(accumulate(gaps, initial=start))
    order = data.draw(orders(len(sent)))
    carried = [sent[packet] if own else None for packet in order]
    found = play(sent, order, carried, delay, reorders=True)
    assert found == pytest.approx([((time or 0) - start) / 1_000 for time in sent])


@given(gaps=gaps, start=starts, dropped=st.sets(st.integers(0, 60)))
def test_packets_without_a_picture_do_not_shift_the_others(
    gaps: list[int], start: int, dropped: set[int]
) -> None:
    """As of VP8, which has pictures that are never shown."""
    sent = list(accumulate(gaps, initial=start))
    kept = [time for number, time in enumerate(sent) if number not in dropped] or sent
    times = ShowTimes(MILLISECOND, STEP)
    found = []
    for time in sent:
        times.send(time)
        if time in kept:
            found.append(times.show(time, reorders=False))
    assert found == pytest.approx([(time - kept[0]) / 1_000 for time in kept])


def test_where_many_packets_give_no_picture_each_picture_is_trusted() -> None:
    """As of fields in packets of their own: two packets to each picture."""
    times = ShowTimes(MILLISECOND, STEP)
    found = []
    for number in range(200):
        times.send(20 * number)
        if number % 2:
            found.append(times.show(20 * (number - 1), reorders=True))
    assert found[-1] == pytest.approx(20 * 198 / 1_000)


@given(own=st.lists(st.none() | st.integers(-(2**62), 2**62), max_size=60), reorders=st.booleans())
def test_times_begin_at_0_and_never_go_back(own: list[int | None], reorders: bool) -> None:
    times = ShowTimes(MILLISECOND, STEP)
    found = []
    for time in own:
        times.send(time)
        found.append(times.show(time, reorders=reorders))
    assert found[:1] in ([], [0.0])
    assert all(earlier <= later for earlier, later in pairwise(found))


@pytest.mark.parametrize(
    ("own", "found"),
    [
        ([None, None, None], [0, 40, 80]),
        ([500, None, 600], [0, 40, 100]),
        ([None, 500, 600], [0, 40, 140]),
        ([500, 600, 500, 700], [0, 100, 100, 200]),  # jitter, of a tenth of a second at most
        ([500, 600, 499, 700], [0, 100, 140, 341]),  # a new count
        ([500, 90_000, 90_040], [0, 89_500, 89_540]),  # a gap
    ],
)
def test_odd_times_are_placed_on_one_clock(own: list[int | None], found: list[int]) -> None:
    times = ShowTimes(MILLISECOND, STEP)
    shown = [times.show(time, reorders=False) for time in own]
    assert shown == pytest.approx([time / 1_000 for time in found])


def test_what_gave_no_picture_can_be_forgotten() -> None:
    times = ShowTimes(MILLISECOND, STEP)
    times.send(10)
    times.forget()
    times.send(50)
    times.send(90)
    assert [times.show(time, reorders=True) for time in (50, 90)] == pytest.approx([0, 0.04])
