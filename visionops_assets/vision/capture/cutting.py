"""Turns the packets of one stream into finished clips or stills, by the camera's rules."""

from dataclasses import dataclass
from typing import Protocol

from visionops_assets.contracts import MediaKind
from visionops_assets.errors import UnsupportedCodecError
from visionops_assets.vision.capture.clips import (
    CLIP_CODECS,
    Clip,
    ClipCutter,
    VideoPacket,
    to_mp4,
)
from visionops_assets.vision.capture.messages import CutRules
from visionops_assets.vision.capture.motion import MotionDetector
from visionops_assets.vision.capture.pictures import Pictures, as_jpeg, as_small_gray
from visionops_assets.vision.capture.schedule import Schedule
from visionops_assets.vision.capture.stream import CameraStream
from visionops_assets.vision.deinterlacing import deinterlaced
from visionops_assets.vision.display import Display

# At this interval or more, a still waits for the next key frame, and nothing else is decoded:
# cameras send one every few seconds.
KEY_FRAMES_SUFFICE_S = 10.0


@dataclass(frozen=True)
class Cut:
    """The content of a finished clip or still that began at `began_s` of the clock."""

    kind: MediaKind
    content: bytes
    began_s: float


class Cutter(Protocol):
    """Cuts one stream. Its first packet, and the first after an interruption, is a key frame."""

    def feed(self, packet: VideoPacket, now_s: float) -> Cut | None:
        """Take the next packet; return what it finished. Raises as `Pictures` does."""

    def interrupt(self) -> Cut | None:
        """Note that packets are missing; return the usable part of the clip under way."""


def make_cutter(stream: CameraStream, rules: CutRules) -> Cutter:
    """Choose how to cut.

    Raises:
        UnsupportedCodecError: clips of this codec cannot be put into a file as they are.
    """
    pictures = Pictures(stream.codec)
    watch = MotionDetector(rules.min_area) if rules.motion else None
    if rules.mode == "still":
        return StillCutter(pictures, stream.display, rules.every_s, watch)
    codec = stream.codec.codec.canonical_name
    if codec not in CLIP_CODECS:
        raise UnsupportedCodecError(
            f"Clips cannot be cut from {codec} video. Set the camera to H.264 or H.265, or take "
            "stills."
        )
    if watch:
        # Motion can be seen without the pictures that no other depends on.
        stream.codec.skip_frame = "NONREF"
    return ClipsByRules(stream, rules, pictures, watch)


class StillCutter:
    """Takes a still whenever one is due; for motion, only while something moves."""

    def __init__(
        self, pictures: Pictures, display: Display, every_s: float, watch: MotionDetector | None
    ) -> None:
        self._pictures = pictures
        self._display = display
        self._schedule = Schedule(every_s)
        self._watch = watch
        self._key_frames_only = watch is None and every_s >= KEY_FRAMES_SUFFICE_S

    def feed(self, packet: VideoPacket, now_s: float) -> Cut | None:
        """Take the next packet; return the still that was due, if one was."""
        is_due = self._schedule.is_due(now_s)
        if self._key_frames_only:
            frames = self._pictures.alone(packet) if is_due and packet.is_keyframe else []
        else:
            frames = self._pictures.next(packet)
        if not frames:
            return None
        if self._watch and self._watch.wants(now_s):
            self._watch.observe(as_small_gray(frames[-1]), now_s)
        if not is_due or (self._watch and not self._watch.is_moving(now_s)):
            return None
        self._schedule.take(now_s)
        frame = frames[-1]
        # Later nobody could tell that it is interlaced.
        frame = deinterlaced(frame) if frame.interlaced_frame else frame
        picture = self._display.picture(frame, "bgr24")
        return Cut(MediaKind.IMAGE, as_jpeg(picture), now_s)

    def interrupt(self) -> Cut | None:
        """Forget the decoded pictures."""
        self._pictures.forget()
        return None


class ClipsByRules:
    """Takes a clip whenever one is due; for motion, only while something moves."""

    def __init__(
        self,
        stream: CameraStream,
        rules: CutRules,
        pictures: Pictures,
        watch: MotionDetector | None,
    ) -> None:
        self._template = stream.video
        self._clips = ClipCutter(rules.clip_s, stream.time_base_s)
        self._schedule = Schedule(rules.every_s)
        self._pictures = pictures
        self._watch = watch

    def feed(self, packet: VideoPacket, now_s: float) -> Cut | None:
        """Take the next packet; return the clip that ended before it, if one did."""
        if self._watch:
            frames = self._pictures.next(packet)
            if frames and self._watch.wants(now_s):
                self._watch.observe(as_small_gray(frames[-1]), now_s)
        ended = self._clips.feed(packet, now_s)
        if self._may_begin(packet, now_s) and self._clips.begin():
            self._schedule.take(now_s)
        return self._finished(ended)

    def interrupt(self) -> Cut | None:
        """End the clip under way before the missing packets."""
        self._pictures.forget()
        return self._finished(self._clips.interrupt())

    def _may_begin(self, packet: VideoPacket, now_s: float) -> bool:
        if self._clips.is_cutting or not self._schedule.is_due(now_s):
            return False
        return self._watch.is_moving(now_s) if self._watch else packet.is_keyframe

    def _finished(self, clip: Clip | None) -> Cut | None:
        if clip is None:
            return None
        return Cut(MediaKind.VIDEO, to_mp4(clip.packets, self._template), clip.began_s)
