"""What becomes of a canary of the drift demo."""

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any, cast

import pytest

from visionops_assets.catalog.schema import Release
from visionops_assets.demo import drift
from visionops_assets.demo.drift import DriftDemo
from visionops_assets.errors import VisionOpsError

RELEASED = Release(release_id=2)


def end_of_canary(rollout: object, release: Release | None) -> Release | None:
    demo: Any = SimpleNamespace(
        _model="m", _rollout=lambda: rollout, _release_after=lambda _before: release
    )
    return DriftDemo._end_of_canary(cast("DriftDemo", demo), Release(release_id=1))


def test_a_canary_that_is_tried_has_no_end_and_one_that_was_promoted_is_a_release() -> None:
    assert end_of_canary("canary", None) is None
    assert end_of_canary(None, RELEASED) is RELEASED


def test_a_canary_that_ended_without_a_release_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    event = SimpleNamespace(reason="It answers more slowly.")
    monkeypatch.setattr(drift, "Catalog", lambda: SimpleNamespace(begin=nullcontext))
    monkeypatch.setattr(drift, "newest_events", lambda *_args, **_named: [event])
    with pytest.raises(VisionOpsError, match=r"without a release\. It answers more slowly"):
        end_of_canary(None, None)
