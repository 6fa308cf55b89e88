"""Events of media files, and which of them are the same event."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid5

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from visionops_assets.catalog.outbox import event_id_of, media_event
from visionops_assets.catalog.schema import Media
from visionops_assets.contracts import MediaEvent, MediaKind, MediaStatus


@given(st.uuids(), st.integers(1, 1000))
def test_an_announcement_is_the_same_event_whoever_makes_it(media_id: UUID, number: int) -> None:
    assert event_id_of(media_id, number) == uuid5(media_id, f"announcement-{number}")


@given(st.sets(st.tuples(st.uuids(), st.integers(1, 100)), min_size=2))
def test_announcements_have_ids_of_their_own(announcements: set[tuple[UUID, int]]) -> None:
    assert len({event_id_of(*announcement) for announcement in announcements}) == len(announcements)


def _media(**fields: Any) -> Media:
    stored = {
        "media_id": UUID(int=7),
        "status": MediaStatus.STORED,
        "source": "gate 7",
        "object_key": "media/x",
        "captured_at": datetime(2026, 3, 1, tzinfo=UTC),
        "stored_at": datetime(2026, 3, 2, tzinfo=UTC),
        "kind": MediaKind.IMAGE,
        "content_type": "image/png",
        "sha256": "a" * 64,
        "bytes": 5,
        "announcement": 3,
    }
    return Media(**stored | fields)


def test_the_event_of_a_row_says_what_the_row_says() -> None:
    media = _media()
    event = media_event(media)
    assert event.event_id == event_id_of(media.media_id, 3)
    for field in MediaEvent.model_fields.keys() - {"schema_version", "event_id"}:
        assert getattr(event, field) == getattr(media, field)


def test_what_is_not_stored_is_not_announced() -> None:
    with pytest.raises(ValidationError):
        media_event(_media(sha256=None, bytes=None, stored_at=None))
