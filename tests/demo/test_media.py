"""The demo's media are real, whole and told apart."""

import numpy as np
from sklearn.datasets import load_digits

from visionops_assets.contracts import MediaKind
from visionops_assets.demo.media import digits, videos
from visionops_assets.vision.preprocessing import decode_frame
from visionops_assets.vision.sniffing import sniff


def test_every_digit_is_uploaded_or_held_back_once() -> None:
    uploaded, held_back = digits()
    assert len(uploaded) + len(held_back) == 1797
    assert len(held_back) == 360
    assert not {file.name for file in uploaded} & {file.name for file in held_back}
    assert {file.label for file in held_back} == {str(digit) for digit in range(10)}


def test_png_files_hold_the_scans() -> None:
    uploaded, _ = digits()
    scans = load_digits()
    index = int(uploaded[0].name.removeprefix("digit-").removesuffix(".png"))
    pixels = decode_frame(uploaded[0].data)
    np.testing.assert_allclose(pixels[:, :, 0] / 255, scans.images[index] / 16, atol=0.5 / 255)
    assert uploaded[0].label == str(scans.target[index])


def test_videos_are_videos() -> None:
    for video in videos():
        kind, content_type = sniff(video.data[:4096])
        assert kind is MediaKind.VIDEO
        assert content_type == video.content_type
