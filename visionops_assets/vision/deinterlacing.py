"""Makes whole pictures of interlaced frames, whose odd and even rows were filmed one after another.

By FFmpeg's filter bwdif, which looks at the frames before and after: rows that stand still are
kept, and moving ones are made from those of the first half. Without neighbours all are made anew.
"""

from collections.abc import Iterable, Iterator
from fractions import Fraction

from av.filter import Graph
from av.video import VideoFrame

from visionops_assets.vision.choosing import Choice

MIN_WIDTH, MIN_HEIGHT = 3, 4
"""The filter takes no smaller picture."""

TIME_BASE = Fraction(1, 1_000)  # any: times are kept beside the frames

Picture = tuple[float, VideoFrame]
"""A decoded picture of a video, after its seconds from the first one."""


def whole_ones(
    pictures: Iterable[Picture], choice: Choice, *, deinterlaces: bool
) -> Iterator[Picture]:
    """Yield the chosen pictures; those that say they are interlaced are made whole, if asked.

    Such a picture waits for the one that follows it.
    """
    before: VideoFrame | None = None
    waiting: tuple[VideoFrame | None, Picture] | None = None
    for picture in pictures:
        if waiting is not None:
            yield _whole(*waiting, picture[1])
            waiting = None
        if choice(*picture):
            if deinterlaces and picture[1].interlaced_frame:
                waiting = before, picture
            else:
                yield picture
        before = picture[1]
    if waiting is not None:
        yield _whole(*waiting, None)


def _whole(before: VideoFrame | None, picture: Picture, after: VideoFrame | None) -> Picture:
    time_s, frame = picture
    return time_s, deinterlaced(frame, before=before, after=after)


def deinterlaced(
    frame: VideoFrame, *, before: VideoFrame | None = None, after: VideoFrame | None = None
) -> VideoFrame:
    """Make a whole picture of a frame, whatever it says of itself; its rows that came first stay.

    Neighbours of another size or format do not count.
    """
    if frame.width < MIN_WIDTH or frame.height < MIN_HEIGHT:
        return frame
    graph = Graph()
    graph.threads = 1
    nodes = (
        graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=TIME_BASE
        ),
        graph.add("bwdif", "mode=send_frame:parity=auto:deint=all"),
        graph.add("buffersink"),
    )
    graph.link_nodes(*nodes).configure()
    earlier, later = ([each] if _are_alike(each, frame) else [] for each in (before, after))
    # A frame that is all alone would pass as it is.
    for each in (*earlier, frame, *(later or [None if earlier else frame])):
        graph.push(each)
    return [graph.vpull() for _ in (*earlier, frame)][-1]


def _are_alike(neighbour: VideoFrame | None, frame: VideoFrame) -> bool:
    return neighbour is not None and _layout(neighbour) == _layout(frame)


def _layout(frame: VideoFrame) -> tuple[int, int, str]:
    return frame.width, frame.height, frame.format.name
