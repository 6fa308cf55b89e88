"""What is found out about a kept image before it becomes a media file."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple, Self, cast
from uuid import UUID

import pytest

from tests.vision.corpus import picture, saved
from visionops_assets.catalog import feedback
from visionops_assets.catalog.feedback import Adoptable
from visionops_assets.catalog.labels import AUDIT, VOLUNTEERED
from visionops_assets.errors import MediaError
from visionops_assets.stages.monitoring.feedback import facts_of


@pytest.mark.parametrize(("form", "content_type"), [("PNG", "image/png"), ("JPEG", "image/jpeg")])
def test_a_kept_image_is_told_by_its_content(form: str, content_type: str) -> None:
    image = saved(picture(), form)
    facts = facts_of(image)
    assert (facts.bytes, facts.content_type) == (len(image), content_type)
    assert facts.sha256 == hashlib.sha256(image).hexdigest()


@pytest.mark.parametrize(
    "content", [b"", b"text", b"\0\0\0\x18ftypisom\0\0\2\0isomiso2mp41" + bytes(64)]
)
def test_what_is_no_image_is_not_adopted(content: bytes) -> None:
    with pytest.raises(MediaError):
        facts_of(content)


class Newest(NamedTuple):
    """The newest annotation of a media file."""

    payload: dict[str, Any]
    author: str | None
    origin: str = "feedback"


@dataclass
class FakeSession:
    """Knows of one media file its newest label, and an adopted label that is newer."""

    newest: Newest | None = None
    later_label_id: int | None = None

    def scalar(self, _: object) -> int | None:
        return self.later_label_id

    def execute(self, _: object) -> Self:
        return self

    def one_or_none(self) -> Newest | None:
        return self.newest


@pytest.mark.parametrize(
    ("session", "is_news"),
    [
        (FakeSession(), True),
        (FakeSession(Newest({"label": "cat"}, "anna")), False),
        (FakeSession(Newest({"label": "dog"}, "anna")), True),
        # The same of another person stays if the first one is taken back.
        (FakeSession(Newest({"label": "cat"}, "bert")), True),
        (FakeSession(Newest({"label": "cat"}, None)), True),
        (FakeSession(Newest({"label": "dog"}, "anna"), later_label_id=8), False),
        (FakeSession(Newest({"label": "cat"}, "anna", VOLUNTEERED)), True),
    ],
)
def test_a_label_is_news_if_it_is_another_or_of_another_and_the_newest(
    session: FakeSession, is_news: bool
) -> None:
    when = datetime(2026, 1, 2, tzinfo=UTC)
    adoptable = Adoptable(
        7, {"label": "cat"}, "anna", AUDIT, UUID(int=1), "m", when, "predictions/1.png"
    )
    assert feedback._is_news(cast("Any", session), UUID(int=2), adoptable) is is_news
