from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from uuid import UUID

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from visionops_assets.vision.splits import BLANK_HASH, group_media, hold_out

START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class MediaFingerprint:
    """A file: its content, and the look of each of its frames."""

    media_id: UUID
    received_at: datetime
    sha256: str
    perceptual_hashes: tuple[str, ...]


def groups_of(media: Sequence[MediaFingerprint]) -> dict[UUID, str]:
    """Group files by the rows of their frames."""
    rows = [
        (str(item.media_id), item.received_at, item.sha256, look)
        for item in media
        for look in item.perceptual_hashes
    ]
    columns = ["media_id", "received_at", "sha256", "perceptual_hash"]
    frames = pd.DataFrame(rows, columns=columns)
    return {UUID(media_id): group for media_id, group in group_media(frames).items()}


def fingerprint(age: int, content: int, looks: list[int]) -> MediaFingerprint:
    return MediaFingerprint(
        media_id=UUID(int=(age * 7919) % 10_007),
        received_at=START + timedelta(seconds=age),
        sha256=f"{content:064x}",
        perceptual_hashes=tuple(f"{look:016x}" for look in looks),
    )


@st.composite
def libraries(draw: st.DrawFn) -> list[MediaFingerprint]:
    """Draw media, oldest first, whose contents and looks often coincide."""
    rows = draw(
        st.lists(
            st.tuples(st.integers(0, 30), st.lists(st.integers(0, 12), min_size=1, max_size=3)),
            max_size=25,
        )
    )
    return [fingerprint(age, content, looks) for age, (content, looks) in enumerate(rows)]


def linked(one: MediaFingerprint, other: MediaFingerprint) -> bool:
    looks = set(one.perceptual_hashes) & set(other.perceptual_hashes) - {BLANK_HASH}
    return one.sha256 == other.sha256 or bool(looks)


@given(libraries())
def test_groups_are_the_connected_components(media: list[MediaFingerprint]) -> None:
    groups = groups_of(media)
    components: list[set[UUID]] = []
    for item in media:
        touching = [c for c in components if any(linked(item, m) for m in media if m.media_id in c)]
        components = [c for c in components if c not in touching]
        components.append({item.media_id}.union(*touching))
    assert {frozenset(c) for c in components} == {
        frozenset(m for m in groups if groups[m] == group) for group in set(groups.values())
    }


@given(libraries(), st.randoms(use_true_random=False))
def test_the_order_of_the_rows_does_not_matter(
    media: list[MediaFingerprint], random: Random
) -> None:
    shuffled = sorted(media, key=lambda _: random.random())
    assert groups_of(shuffled) == groups_of(media)


@given(libraries(), st.integers(0, 25))
def test_newer_media_move_a_group_only_by_merging_it(
    media: list[MediaFingerprint], known: int
) -> None:
    before, after = groups_of(media[:known]), groups_of(media)
    media_id_by_sha256 = {item.sha256: item.media_id for item in media}
    for media_id, group in before.items():
        namesake = after[media_id_by_sha256[group]]
        survives = namesake == group
        assert after[media_id] == namesake
        if not survives:
            assert after[media_id] in before.values(), "merged into an elder group"


def test_blank_frames_link_nothing() -> None:
    groups = groups_of([fingerprint(1, 1, [0]), fingerprint(2, 2, [0])])
    assert len(set(groups.values())) == 2


def test_what_one_source_captured_within_a_stretch_is_one_group() -> None:
    rows = [("a", "gate", 0), ("b", "gate", 59), ("c", "gate", 61), ("d", "yard", 1)]
    frames = pd.DataFrame(rows, columns=["media_id", "source", "captured_at"])
    frames["captured_at"] = START + pd.to_timedelta(frames["captured_at"], unit="s")
    frames["sha256"], frames["perceptual_hash"] = list("1234"), list("5678")
    frames["received_at"] = frames["captured_at"]
    together = {"a": "1", "b": "1", "c": "3", "d": "4"}
    assert group_media(frames, window_s=60) == together
    assert len(set(group_media(frames).values())) == 4


labelled_groups = st.dictionaries(
    st.integers(0, 200).map(str), st.sampled_from("abc"), min_size=1, max_size=60
)


@given(labelled_groups, st.integers(1, 99))
def test_each_class_holds_out_its_share(label_of: dict[str, str], percent: int) -> None:
    held = hold_out(label_of, {}, percent)
    assert held.keys() == label_of.keys()
    for label in set(label_of.values()):
        of_class = [held[group] for group, its in label_of.items() if its == label]
        assert abs(sum(of_class) - len(of_class) * percent / 100) <= 0.5


@given(labelled_groups, labelled_groups, st.integers(1, 99))
def test_a_known_side_never_changes(
    earlier: dict[str, str], later: dict[str, str], percent: int
) -> None:
    """Also where groups join, and where their labels change."""
    known = hold_out(earlier, {}, percent)
    held = hold_out(earlier | later, known, percent)
    assert {group: held[group] for group in known} == known


@given(labelled_groups, st.integers(1, 98))
def test_a_greater_share_only_adds(label_of: dict[str, str], percent: int) -> None:
    less, more = (hold_out(label_of, {}, each) for each in (percent, percent + 1))
    assert all(more[group] for group, is_held in less.items() if is_held)


def test_the_split_never_changes() -> None:
    held = hold_out({str(UUID(int=i)): "a" for i in range(24)}, {}, 20)
    assert [UUID(group).int for group, is_held in held.items() if is_held] == [3, 5, 10, 15, 20]


@pytest.mark.parametrize("known_held", [0, 1_000])
def test_new_groups_are_on_both_sides_whatever_was_before(known_held: int) -> None:
    """Of 1,000 known groups none, or all, are held out; 100 new ones come at 20 %."""
    known = {f"old-{i}": i < known_held for i in range(1_000)}
    new = [f"new-{i}" for i in range(100)]
    held = hold_out(dict.fromkeys([*known, *new], "a"), known, 20)
    assert sum(held[group] for group in new) == (10 if known_held else 40)
    assert {group: held[group] for group in known} == known


@pytest.mark.parametrize(
    ("groups", "percent", "expected"),
    [(5_000, 0, 0), (5_000, 20, 1_000), (5_000, 1, 50), (5_000, 100, 5_000), (1, 0, 0),
     (7, 50, 4), (12, 20, 2), (13, 20, 3), (24, 2, 0), (25, 2, 1)],
)  # fmt: skip
def test_the_share_is_exact(groups: int, percent: int, expected: int) -> None:
    """None at 0 %, all at 100 %, and half a group is one."""
    held = hold_out({str(i): "a" for i in range(groups)}, {}, percent)
    assert sum(held.values()) == expected


@pytest.mark.parametrize(("new", "held_of_new"), [(1, 1), (2, 1), (3, 2), (5, 2), (6, 3)])
def test_few_new_groups_make_up_for_known_ones_by_twice_their_share(
    new: int, held_of_new: int
) -> None:
    """Of 20 %, where none of a hundred is held out: rounded up, so that one alone is."""
    known = {f"old-{i}": False for i in range(100)}
    names = [f"new-{i}" for i in range(new)]
    held = hold_out(dict.fromkeys([*known, *names], "a"), known, 20)
    assert sum(held[name] for name in names) == held_of_new
