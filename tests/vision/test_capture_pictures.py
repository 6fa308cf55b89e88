"""Pictures of a stream: of a fixed quality, and never damaged ones."""

from types import SimpleNamespace
from typing import Any, cast

import av
import numpy as np
import pytest

from visionops_assets.vision.capture.pictures import Pictures, as_jpeg, as_small_gray


def test_a_still_is_a_jpeg_of_quality_90() -> None:
    """The first step of its table is 16 x (200 - 2 x 90) %, as libjpeg scales the standard's."""
    jpeg = as_jpeg(np.zeros((32, 48, 3), np.uint8))
    assert jpeg[jpeg.index(b"\xff\xdb") + 5] == 3


@pytest.mark.parametrize(
    ("width", "height", "shape"),
    [(640, 360, (90, 160)), (160, 90, (90, 160)), (90, 160, (284, 160)), (3_200, 2, (1, 160))],
)
def test_motion_is_looked_for_in_small_pictures(
    width: int, height: int, shape: tuple[int, int]
) -> None:
    frame = av.VideoFrame.from_ndarray(np.full((height, width), 90, np.uint8), format="gray")
    assert as_small_gray(frame).shape == shape


def test_one_damaged_picture_of_a_packet_is_enough() -> None:
    def pictures(*corrupt: bool) -> Pictures:
        frames = [SimpleNamespace(is_corrupt=each) for each in corrupt]
        codec = SimpleNamespace(
            decode=lambda packet: frames if packet else [], flush_buffers=lambda: None
        )
        return Pictures(cast("Any", codec))

    packet = cast("Any", "a packet")
    for damaged in ((True,), (False, True), (True, False)):
        for decode in (pictures(*damaged).next, pictures(*damaged).alone):
            with pytest.raises(ValueError, match="damaged"):
                decode(packet)
    assert len(pictures(False, False).next(packet)) == len(pictures(False, False).alone(packet))
