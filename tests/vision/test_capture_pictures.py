"""Pictures of a stream: upright, of a fixed quality, and never damaged ones."""

from types import SimpleNamespace
from typing import Any, cast

import av
import cv2
import numpy as np
import pytest

from visionops_assets.vision.capture.pictures import Pictures, as_jpeg, as_small_gray


def turned(rotation: int) -> av.VideoFrame:
    """Return a picture whose left half is white, and by how much a player should turn it."""
    pixels = np.zeros((32, 48, 3), np.uint8)
    pixels[:, :24] = 255
    return cast("av.VideoFrame", SimpleNamespace(rotation=rotation, to_ndarray=lambda **_: pixels))


@pytest.mark.parametrize(
    ("rotation", "shape", "white"),
    [
        (0, (32, 48), np.s_[:, :20]),
        (90, (48, 32), np.s_[28:, :]),
        (180, (32, 48), np.s_[:, 28:]),
        (270, (48, 32), np.s_[:20, :]),
        (-90, (48, 32), np.s_[:20, :]),
    ],
)
def test_a_still_is_upright(rotation: int, shape: tuple[int, int], white: Any) -> None:
    still = cv2.imdecode(np.frombuffer(as_jpeg(turned(rotation)), np.uint8), cv2.IMREAD_GRAYSCALE)
    assert still is not None
    assert still.shape == shape
    assert still[white].min() > 240
    assert still.mean() == pytest.approx(255 / 2, abs=5)


def test_a_still_is_a_jpeg_of_quality_90() -> None:
    """The first step of its table is 16 x (200 - 2 x 90) %, as libjpeg scales the standard's."""
    jpeg = as_jpeg(turned(0))
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
