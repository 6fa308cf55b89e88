"""How media become frames: the spec, its filters, and how a video is sampled."""

import hashlib
from fnmatch import fnmatchcase
from operator import not_
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from visionops_assets.contracts.base import Record


class Rectangle(Record):
    """A part of the upright picture, 0..1 of its width and height from the top left corner.

    It holds for media whose source matches one of the patterns, as those of a shell: by default
    for all.
    """

    left: float = Field(0.0, ge=0, lt=1)
    top: float = Field(0.0, ge=0, lt=1)
    right: float = Field(1.0, gt=0, le=1)
    bottom: float = Field(1.0, gt=0, le=1)
    sources: tuple[str, ...] = Field(("*",), min_length=1)

    @model_validator(mode="after")
    def _has_an_area(self) -> Self:
        if self.left >= self.right or self.top >= self.bottom:
            raise ValueError("It has no area: left < right and top < bottom must hold.")
        return self

    def is_for(self, source: str) -> bool:
        """Say whether it holds for media of a source."""
        return any(fnmatchcase(source, pattern) for pattern in self.sources)


class RegionOfInterest(Rectangle):
    """Cuts the picture down to a rectangle."""

    name: Literal["region"] = "region"


class BlurMask(Rectangle):
    """Makes a rectangle unrecognisable."""

    name: Literal["blur"] = "blur"


class Denoise(Record):
    """Smooths noise and keeps edges; `strength` is the deviation of the noise, in levels."""

    name: Literal["denoise"] = "denoise"
    strength: float = Field(10.0, gt=0, le=100)


class Clahe(Record):
    """Equalises contrast within `tiles` x `tiles` parts, the slope limited to `clip`."""

    name: Literal["clahe"] = "clahe"
    clip: float = Field(2.0, ge=1, le=40)
    tiles: int = Field(8, ge=1, le=32)


class Sharpen(Record):
    """Adds `amount` times the detail finer than `radius_px`."""

    name: Literal["sharpen"] = "sharpen"
    amount: float = Field(0.5, gt=0, le=5)
    radius_px: float = Field(1.0, gt=0, le=20)


class Gamma(Record):
    """Brightens the dark parts if `gamma` is above 1, and darkens them if it is below."""

    name: Literal["gamma"] = "gamma"
    gamma: float = Field(ge=0.1, le=10)


SourceFilter = RegionOfInterest | BlurMask
"""These see the upright picture as it came."""
FrameFilter = Denoise | Clahe | Sharpen | Gamma
"""These see the picture in the size that it has in the frame."""


def _source_filters_first(
    filters: tuple[SourceFilter | FrameFilter, ...],
) -> tuple[SourceFilter | FrameFilter, ...]:
    kinds = [isinstance(each, SourceFilter) for each in filters]
    if kinds != sorted(kinds, reverse=True):
        raise ValueError(
            "Filters of the whole picture (region, blur) come before those of the frame: they are "
            "applied before it is scaled."
        )
    return filters


Filter = Annotated[SourceFilter | FrameFilter, Field(discriminator="name")]
Filters = Annotated[tuple[Filter, ...], Field(max_length=16), AfterValidator(_source_filters_first)]


class EveryNth(Record):
    """Takes every n-th frame of a video, from the first."""

    by: Literal["every_nth"] = "every_nth"
    n: int = Field(ge=1)


class KeyFrames(Record):
    """Takes the frames from which a player can start."""

    by: Literal["key_frames"] = "key_frames"


class SceneChanges(Record):
    """Takes the first frame, and each that differs from the last one taken by a threshold.

    The difference is the mean one of gray levels, 0..1, of thumbnails.
    """

    by: Literal["scene_changes"] = "scene_changes"
    threshold: float = Field(0.1, gt=0, lt=1)


VideoSampling = Annotated[EveryNth | KeyFrames | SceneChanges, Field(discriminator="by")]


def _is_converted(value: str) -> bool:
    return value == "to_srgb"


ColourProfile = Literal["to_srgb", "ignored"]


class PreprocessingSpec(Record):
    """How media become frames, in the frames stage, in training and in serving.

    A frame is a `uint8` array of shape (size_px, size_px, 3), channels in RGB order.

    A spec is read strictly wherever it lies: whoever ignores an option makes other frames than the
    model was trained on. So an option added later is left out of what is written while it has its
    default (`Field(exclude_if=...)`), and only specs that use it are unreadable to older versions.
    """

    size_px: int = Field(64, ge=8, le=4096, description="Width and height of a frame.")
    colour: Literal["rgb", "gray"] = Field(
        "rgb", description="Colours of a frame; gray for pictures whose colour says nothing."
    )
    resize: Literal["stretch", "letterbox", "centre_crop"] = Field(
        "stretch",
        description="Whether a picture fills the frame, keeps its shape with bars, or is cut to "
        "its central square.",
    )
    video_sample_interval_s: float = Field(
        1.0, gt=0, description="Time between two frames that are taken of a video."
    )
    filters: Filters = Field(
        (),
        exclude_if=not_,
        description="List of `region`, `blur`, `denoise`, `clahe`, `sharpen` and `gamma` with "
        "their parameters, applied in this order.",
    )
    video_sampling: VideoSampling | None = Field(
        None,
        exclude_if=not_,
        description="Instead of by time: `by` is `every_nth`, `key_frames` or `scene_changes`.",
    )
    max_frames_per_video: int | None = Field(
        None,
        ge=1,
        le=20_000,
        exclude_if=not_,
        description="Most frames that are taken of a video, evenly spread over it.",
    )
    jpeg_quality: int | None = Field(
        None,
        ge=50,
        le=100,
        exclude_if=not_,
        description="Store frames as JPEG of this quality. Left out: as PNG, without loss.",
    )
    colour_profile: ColourProfile = Field(
        "to_srgb",
        exclude_if=_is_converted,
        description="Whether colours are converted to sRGB by an image's ICC profile.",
    )
    deinterlace: bool = Field(
        True,
        exclude_if=bool,
        description="Make whole pictures of a video's interlaced frames.",
    )

    @property
    def spec_id(self) -> str:
        """Return the id of the spec, a hash of its content, so that equal specs are one spec."""
        return "pp-" + hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:12]

    @property
    def source_filters(self) -> tuple[SourceFilter, ...]:
        """Return the filters of the upright picture, in their order."""
        return tuple(each for each in self.filters if isinstance(each, SourceFilter))

    @property
    def frame_filters(self) -> tuple[FrameFilter, ...]:
        """Return the filters of the scaled picture, in their order."""
        return tuple(each for each in self.filters if isinstance(each, FrameFilter))

    def for_source(self, source: str) -> Self:
        """Return the spec as it holds for media of one source: without others' rectangles."""
        kept = [f for f in self.filters if not isinstance(f, Rectangle) or f.is_for(source)]
        return self.model_copy(update={"filters": tuple(kept)})
