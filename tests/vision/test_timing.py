"""Times of pictures: right where a file knows them, repaired where it does not, never falling."""

from fractions import Fraction
from itertools import accumulate, pairwise
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from visionops_assets.vision.timing import MAX_REORDERED, ShowTimes, StreamTimes

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


def test_equal_times_of_packets_are_dealt_out_too() -> None:
    times = ShowTimes(MILLISECOND, STEP)
    for sent in (10, 10, 17):
        times.send(sent)
    assert [times.show(None, reorders=True) for _ in range(3)] == pytest.approx([0, 0, 0.007])


@pytest.mark.parametrize(("earlier", "second_ms"), [(MAX_REORDERED, 7), (MAX_REORDERED + 1, STEP)])
def test_more_pictures_than_can_be_reordered_are_packets_without_one(
    earlier: int, second_ms: int
) -> None:
    """H.264 and HEVC have 16: one more that waits before a shown one has no picture."""
    times = ShowTimes(MILLISECOND, STEP)
    for number in range(earlier + 2):
        times.send(7 * number)
    times.show(7 * (earlier + 1), reorders=True)
    assert times.show(None, reorders=True) == pytest.approx(second_ms / 1_000)


def stream_times(
    container: str = "mp4",
    *,
    has_b_frames: bool = False,
    time_base: Fraction | None = MILLISECOND,
    rate_hz: int | None = 25,
) -> StreamTimes:
    stream: Any = SimpleNamespace(
        codec_context=SimpleNamespace(has_b_frames=has_b_frames),
        container=SimpleNamespace(format=SimpleNamespace(name=container)),
        time_base=time_base,
        average_rate=rate_hz,
    )
    return StreamTimes(stream)


def packet(pts: int | None, dts: int | None = None, **flags: Any) -> Any:
    return SimpleNamespace(pts=pts, dts=dts, **{"size": 9, "is_discard": False, **flags})


def frame(pts: int | None = None, dts: int | None = None) -> Any:
    return SimpleNamespace(pts=pts, dts=dts)


@pytest.mark.parametrize(
    ("time_base", "rate_hz", "second_s"),
    [
        (MILLISECOND, 10, 0.1),
        (MILLISECOND, None, 0.04),  # FFmpeg's own guess, 25 per second
        (None, 20, 0.05),
        (MILLISECOND, 100_000, 0.001),  # a clock too coarse for the rate: a unit at least
    ],
)
def test_pictures_without_times_come_at_the_rate_of_their_stream(
    time_base: Fraction | None, rate_hz: int | None, second_s: float
) -> None:
    times = stream_times(time_base=time_base, rate_hz=rate_hz)
    found = [times.show(frame()) for _ in range(3)]
    assert found == pytest.approx([0, second_s, 2 * second_s])


def test_without_a_time_base_times_are_microseconds() -> None:
    times = stream_times(time_base=None)
    assert [times.show(frame(pts)) for pts in (7, 500_007)] == pytest.approx([0, 0.5])


@pytest.mark.parametrize("flags", [{"size": 0}, {"is_discard": True}])
def test_a_packet_without_a_picture_deals_no_time(flags: dict[str, Any]) -> None:
    times = stream_times(has_b_frames=True)
    for each in (packet(0), packet(3, **flags), packet(10)):
        times.send(each)
    assert [times.show(frame()) for _ in range(2)] == pytest.approx([0, 0.01])


@pytest.mark.parametrize("container", ["avi", "asf"])
def test_made_up_times_of_presentation_do_not_count(container: str) -> None:
    """Those of decoding are dealt out where pictures are reordered; else each has its own."""
    reordered = stream_times(container, has_b_frames=True)
    for dts in (0, 7, 20):
        reordered.send(packet(99, dts))
    shown = [reordered.show(frame(pts, dts)) for pts, dts in ((99, 20), (99, 0), (99, 7))]
    assert shown == pytest.approx([0, 0.007, 0.02])
    straight = stream_times(container)
    shown = []
    for dts in (0, 7, 20):
        straight.send(packet(99, dts))
        shown.append(straight.show(frame(99, dts)))
    assert shown == pytest.approx([0, 0.007, 0.02])


def test_where_decoding_goes_back_pictures_are_trusted_even_there() -> None:
    times = stream_times("avi", has_b_frames=True)
    for dts in (20, 7):
        times.send(packet(99, dts))
    assert [times.show(frame(pts, 3)) for pts in (50, 61)] == pytest.approx([0, 0.011])


@pytest.mark.parametrize("container", ["mp4", "avi"])
def test_a_packet_without_a_time_of_presentation_has_that_of_decoding(container: str) -> None:
    times = stream_times(container, has_b_frames=True)
    for dts in (0, 7):
        times.send(packet(None, dts))
    assert [times.show(frame()) for _ in range(2)] == pytest.approx([0, 0.007])
