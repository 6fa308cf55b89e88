"""What is found out about a kept image before it becomes a media file."""

import hashlib

import pytest

from tests.vision.corpus import picture, saved
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
