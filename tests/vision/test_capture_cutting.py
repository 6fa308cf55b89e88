from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from tests.vision.camera_files import BACKGROUND, FRAME_RATE_HZ, film
from visionops_assets.contracts import MediaKind
from visionops_assets.errors import MediaError, UnsupportedCodecError
from visionops_assets.vision.capture.clips import VideoPacket
from visionops_assets.vision.capture.cutting import Cut, make_cutter
from visionops_assets.vision.capture.messages import CutRules
from visionops_assets.vision.capture.pictures import Pictures
from visionops_assets.vision.capture.stream import CameraStream


def cuts_of(path: Path, seconds: float, **rules: Any) -> list[Cut]:
    """Cut a file as if its frames came at their times."""
    cuts = []
    with CameraStream(f"file:{path}", 10**6) as stream:
        cutter = make_cutter(stream, CutRules(**rules))
        for number, packet in enumerate(stream._timed_packets()):
            if number >= seconds * FRAME_RATE_HZ:
                break
            cuts.append(cutter.feed(packet, number / FRAME_RATE_HZ))
    return [cut for cut in cuts if cut]


def frames_in(cut: Cut, folder: Path) -> int:
    clip = folder / "clip.mp4"
    clip.write_bytes(cut.content)
    with av.open(str(clip)) as container:
        return sum(1 for _ in container.decode(video=0))


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve seconds; something moves in the last four."""
    return film(tmp_path_factory.mktemp("film") / "gate.mp4", 12.0, moves_from_s=8.0)


def test_clips_follow_the_schedule(video: Path, tmp_path: Path) -> None:
    cuts = cuts_of(video, 30.0, every_s=4, clip_s=2)
    assert {cut.kind for cut in cuts} == {MediaKind.VIDEO}
    began_s = [cut.began_s for cut in cuts]
    # Each begins at the key frame at its time or after it, at most one second later.
    assert began_s == pytest.approx([4 * number + 0.5 for number in range(7)], abs=0.5)
    assert {frames_in(cut, tmp_path) for cut in cuts} == {2 * FRAME_RATE_HZ}


def test_clips_of_motion_begin_before_it(video: Path, tmp_path: Path) -> None:
    cuts = cuts_of(video, 11.9, every_s=2, clip_s=1, motion=True)
    assert cuts
    assert 7.0 <= cuts[0].began_s <= 8.0
    assert frames_in(cuts[0], tmp_path) >= FRAME_RATE_HZ


def test_without_motion_there_are_no_clips_and_no_stills(video: Path) -> None:
    for mode in ("clip", "still"):
        assert not cuts_of(video, 8.0, mode=mode, every_s=2, clip_s=1, motion=True)


@pytest.mark.parametrize("every_s", [1, 10], ids=["each frame decoded", "key frames only"])
def test_stills_follow_the_schedule(video: Path, every_s: int) -> None:
    cuts = cuts_of(video, 24.0, mode="still", every_s=every_s)
    assert [cut.began_s for cut in cuts] == pytest.approx(
        [every_s * (number + 0.05) for number in range(24 // every_s + (every_s == 10))], abs=1.0
    )
    for cut in cuts:
        assert cut.kind is MediaKind.IMAGE
        pixels = cv2.imdecode(np.frombuffer(cut.content, np.uint8), cv2.IMREAD_COLOR)
        assert pixels is not None
        assert pixels.shape == (96, 160, 3)
        assert abs(int(np.median(pixels)) - BACKGROUND) < 5


def test_stills_of_motion_are_taken_while_it_lasts(video: Path) -> None:
    cuts = cuts_of(video, 11.9, mode="still", every_s=1, motion=True)
    assert 3 <= len(cuts) <= 4
    assert 8.0 <= cuts[0].began_s <= 8.5


def test_for_rare_stills_of_motion_every_frame_is_looked_at(video: Path) -> None:
    """Key frames alone would show what moves between them too late, or never."""
    (cut,) = cuts_of(video, 11.9, mode="still", every_s=10, motion=True)
    assert 8.0 <= cut.began_s <= 8.5


def test_for_rare_stills_only_key_frames_that_are_due_are_decoded(
    video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Decoding every frame of a camera would cost a core."""
    decoded: list[bool] = []
    alone = Pictures.alone

    def counted(pictures: Pictures, packet: VideoPacket) -> list[Any]:
        decoded.append(packet.is_keyframe)
        return alone(pictures, packet)

    monkeypatch.setattr(Pictures, "alone", counted)
    assert len(cuts_of(video, 24.0, mode="still", every_s=10)) == 3
    assert all(decoded)
    assert len(decoded) <= 6


def test_frames_that_are_missing_end_a_clip(video: Path) -> None:
    with CameraStream(f"file:{video}", 10**6) as stream:
        cutter = make_cutter(stream, CutRules(every_s=4, clip_s=2))
        packets = stream._timed_packets()
        for number in range(10):
            assert cutter.feed(next(packets), number / 25) is None
        cut = cutter.interrupt()
        assert cut is not None
        assert cutter.interrupt() is None


def test_a_codec_that_fits_into_no_clip_is_refused_but_gives_stills(tmp_path: Path) -> None:
    old = film(tmp_path / "old.avi", 1.0, codec="msmpeg4v3")
    with pytest.raises(UnsupportedCodecError):
        cuts_of(old, 1.0, mode="clip")
    assert cuts_of(old, 0.5, mode="still")


def test_a_picture_of_too_many_pixels_is_refused(video: Path) -> None:
    with pytest.raises(MediaError):
        CameraStream(f"file:{video}", 1_000)
