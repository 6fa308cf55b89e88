from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID

import pytest

from tests.resources.memory_store import MemoryStore
from visionops_assets.catalog.predictions import image_key
from visionops_assets.contracts import Prediction
from visionops_assets.errors import AlteredMediaError, NotFoundError
from visionops_assets.monitoring.kept_images import read_kept_image
from visionops_assets.resources.object_store import ObjectStore

WHEN = datetime(2026, 3, 1, tzinfo=UTC)


def key_of(image: bytes | None) -> str | None:
    said = {"prediction_id": UUID(int=1), "predicted_at": WHEN, "image": image}
    return image_key(Prediction.model_construct(None, **cast("Any", said)))


def read(objects: dict[str, bytes], key: str) -> bytes:
    return read_kept_image(cast("ObjectStore", MemoryStore(objects)), key)


def test_an_image_is_the_one_that_was_kept() -> None:
    key = key_of(b"image")
    assert key
    assert read({key: b"image"}, key) == b"image"
    with pytest.raises(AlteredMediaError, match=r"2026-03-01/.* altered"):
        read({key: b"imagf"}, key)
    with pytest.raises(NotFoundError):
        read({}, key)


def test_a_prediction_taken_again_has_its_image_where_it_was() -> None:
    assert key_of(b"image") == key_of(b"image")
    assert key_of(b"image") != key_of(b"other")
    assert key_of(None) is None


def test_keys_of_earlier_versions_say_nothing_of_the_bytes() -> None:
    key = f"predictions/2026-01-02/{UUID(int=1)}"
    assert read({key: b"any"}, key) == b"any"
