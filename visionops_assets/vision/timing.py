"""Tells when each picture of a video is shown, though its container may know only half of it."""

from collections import deque
from fractions import Fraction

from av import Packet
from av.video import VideoFrame, VideoStream

# H.264 and HEVC show a picture at most 16 pictures after it is decoded.
MAX_REORDERED = 16
# FFmpeg takes a clock that goes back by more for one that was set anew.
JITTER = Fraction(1, 10)
# FFmpeg's own guess where a stream does not say.
DEFAULT_RATE_HZ = 25
# FFmpeg makes up times of presentation for these, and gives the last two pictures the same one.
FORMATS_WITHOUT_PRESENTATION = frozenset({"avi", "asf"})


class ShowTimes:
    """Gives each picture of a stream its time; times begin at 0 and never go back.

    A decoder gives out pictures in the order in which they are shown. Their times follow from it:

    - A picture is shown at the presentation time of its packet.
    - Some files have times of decoding alone: AVI, ASF, and what was made of them. They rise from
      packet to packet even where pictures are shown in another order. Such times are dealt out as
      they come, each once, so that the gap that a dropped picture left stays a gap.
    - A picture without a time comes one picture's duration after the one before it.
    - A time up to `JITTER` seconds before the last one becomes the last one. An earlier one begins
      a new count, as where two recordings were joined: it comes one picture's duration after the
      last one, and those that follow count from there.
    - Elsewhere a gap stays a gap. It does not matter where the first time lies: it is 0. FFmpeg has
      already undone the wrap of MPEG's clock of 33 bits.

    Args:
        time_base: seconds per unit of the stream's times.
        picture_ticks: the duration of one picture, in these units.
    """

    def __init__(self, time_base: Fraction, picture_ticks: int) -> None:
        self._time_base = time_base
        self._picture_ticks = picture_ticks
        self._jitter_ticks = int(JITTER / time_base)
        self._to_deal: deque[int] = deque()
        self._last_sent: int | None = None
        self.are_dealt = True
        self._shift: int | None = None
        self._shown: int | None = None

    def send(self, time: int | None) -> None:
        """Note the time of a packet before it is decoded: None if it has none."""
        if time is None:
            return
        if self._last_sent is not None and time < self._last_sent:
            self._trust_pictures()
        self._last_sent = time
        if self.are_dealt:
            self._to_deal.append(time)

    def forget(self) -> None:
        """Note that packets gave no picture."""
        self._to_deal.clear()

    def show(self, own: int | None, *, reorders: bool) -> float:
        """Return the time of the next picture, in seconds from the first.

        Args:
            own: the time of its packet, if that is known.
            reorders: the stream may show pictures in another order than it has them.
        """
        is_dealt = reorders or own is None
        while not is_dealt and self._to_deal and self._to_deal[0] <= (own or 0):
            self._to_deal.popleft()
        time = self._to_deal.popleft() if is_dealt and self._to_deal else own
        if own is not None and sum(waiting < own for waiting in self._to_deal) > MAX_REORDERED:
            self._trust_pictures()  # some packets give no picture
        self._shown = self._count(time)
        return float(self._shown * self._time_base)

    def _trust_pictures(self) -> None:
        self.are_dealt = False
        self._to_deal.clear()

    def _count(self, time: int | None) -> int:
        """Place a time on a clock that begins at 0 and never goes back."""
        last, follows = -1, 0
        if self._shown is not None:
            last, follows = self._shown, self._shown + self._picture_ticks
        if time is None:
            return follows
        if self._shift is None or time - self._shift < last - self._jitter_ticks:
            self._shift = time - follows
        return max(last, time - self._shift)


class StreamTimes:
    """Follows one stream while it is decoded: its packets, and the frames made of them."""

    def __init__(self, stream: VideoStream) -> None:
        self._codec = stream.codec_context
        self._is_presented = stream.container.format.name not in FORMATS_WITHOUT_PRESENTATION
        time_base = stream.time_base or Fraction(1, 1_000_000)
        rate_hz = stream.average_rate or DEFAULT_RATE_HZ
        self._times = ShowTimes(time_base, max(1, round(1 / (rate_hz * time_base))))

    def send(self, packet: "Packet[VideoStream]") -> None:
        """Note a packet before it is decoded."""
        if packet.size and not packet.is_discard:
            is_presented = self._is_presented and packet.pts is not None
            self._times.send(packet.pts if is_presented else packet.dts)

    def forget(self) -> None:
        """Note that packets gave no frame."""
        self._times.forget()

    def show(self, frame: VideoFrame) -> float:
        """Return when the next frame is shown, in seconds from the first."""
        reorders = self._codec.has_b_frames
        if self._is_presented or not self._times.are_dealt:
            return self._times.show(frame.pts, reorders=reorders)
        return self._times.show(None if reorders else frame.dts, reorders=reorders)
