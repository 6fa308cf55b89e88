from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from visionops_assets.client.importing.grouping import MAX_BYTES, MAX_FILES, grouped
from visionops_assets.client.importing.listing import Item

SIZES = st.one_of(st.integers(0, 50_000), st.integers(0, 2 * MAX_BYTES))


def items_of(sizes: list[int]) -> list[Item]:
    time = datetime(2026, 3, 1, tzinfo=UTC)
    return [Item(f"{number}.png", size, "1", time) for number, size in enumerate(sizes)]


def sizes_of(*sizes: int) -> list[list[int]]:
    return [[item.size_bytes for item in group] for group in grouped(items_of(list(sizes)))]


@given(st.lists(SIZES, max_size=200))
def test_every_file_is_in_one_group_in_its_order_and_groups_keep_their_limits(
    sizes: list[int],
) -> None:
    items = items_of(sizes)
    groups = list(grouped(items))
    assert [item for group in groups for item in group] == items
    for group in groups:
        assert 1 <= len(group) <= MAX_FILES
        assert len(group) == 1 or sum(item.size_bytes for item in group) <= MAX_BYTES


@given(st.lists(SIZES, max_size=200))
def test_no_group_would_have_room_for_the_next_file(sizes: list[int]) -> None:
    groups = list(grouped(items_of(sizes)))
    for group, (following, *_) in pairwise(groups):
        size_bytes = sum(item.size_bytes for item in (*group, following))
        assert len(group) == MAX_FILES or size_bytes > MAX_BYTES


def test_a_large_file_is_alone() -> None:
    assert sizes_of(10, MAX_BYTES + 1, 10, 20) == [[10], [MAX_BYTES + 1], [10, 20]]
    assert sizes_of(10, MAX_BYTES - 10, 0) == [[10, MAX_BYTES - 10, 0]]
    assert sizes_of() == []


def test_files_are_not_listed_ahead_of_their_group() -> None:
    taken = 0

    def items() -> Iterator[Item]:
        nonlocal taken
        for item in items_of([1] * 100):
            taken += 1
            yield item

    next(grouped(items()))
    assert taken == MAX_FILES + 1
