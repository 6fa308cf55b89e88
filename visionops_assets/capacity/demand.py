"""The demand on an installation: the input of the capacity model."""

from dataclasses import dataclass, fields

from visionops_assets.capacity.measurements import MODELS
from visionops_assets.errors import InvalidRequestError

SECONDS_PER_DAY = 86_400
BYTES_PER_MB = 1e6


@dataclass(frozen=True)
class Demand:
    """A day's load, on average, with the assumptions of the plan.

    `media_per_day` are image files; `video_hours_per_day` come on top, in clips of `clip_s`.
    `peak_factor` is the busiest second's load over the average one's. `labelled_share` of the
    media get a label. `retention_days` is a policy: nothing deletes rows by itself.
    """

    media_per_day: float
    video_hours_per_day: float = 0.0
    predictions_per_second: float = 0.0
    peak_factor: float = 3.0
    retention_days: float = 365.0
    queue_retention_days: float = 7.0
    replication: int = 3
    image_bytes: float = 200_000.0
    image_pixels: float = 1_228_800.0
    video_bits_per_second: float = 2e6
    video_pixels: float = 921_600.0
    video_sample_interval_s: float = 1.0
    clip_s: float = 60.0
    kept_image_share: float = 0.01
    labelled_share: float = 0.01
    batch_max_messages: int = 4_000
    batch_max_wait_s: float = 30.0
    model: str = "resnet-tiny-64"
    gpu_inferences_per_second: float = 2_000.0

    def __post_init__(self) -> None:
        """Refuse impossible values.

        Raises:
            InvalidRequestError: a value is out of its range, or the model was never measured.
        """
        if self.model not in MODELS:
            raise InvalidRequestError(
                f"There are no figures for a model {self.model!r}, only of {', '.join(MODELS)}."
            )
        for field in fields(self):
            value = getattr(self, field.name)
            if not isinstance(value, str) and not 0 <= value < float("inf"):
                raise InvalidRequestError(f"{field.name} must be a number from 0 on, not {value}.")
        for name in ("clip_s", "video_sample_interval_s", "batch_max_wait_s", "retention_days"):
            if getattr(self, name) <= 0:
                raise InvalidRequestError(f"{name} must be above 0.")
        if self.peak_factor < 1 or self.replication < 1 or self.batch_max_messages < 1:
            raise InvalidRequestError(
                "Peak factor, replication and messages per batch must be at least 1."
            )
        if self.gpu_inferences_per_second <= 0:
            raise InvalidRequestError("gpu_inferences_per_second must be above 0.")
        if max(self.kept_image_share, self.labelled_share) > 1:
            raise InvalidRequestError("A share is at most 1.")

    @property
    def video_s_per_day(self) -> float:
        """Return seconds of video per day."""
        return self.video_hours_per_day * 3_600

    @property
    def clips_per_day(self) -> float:
        """Return video files per day."""
        return self.video_s_per_day / self.clip_s

    @property
    def files_per_day(self) -> float:
        """Return media files per day: each is an upload, an event and a row."""
        return self.media_per_day + self.clips_per_day

    @property
    def files_hz(self) -> float:
        """Return media files per second, on average."""
        return self.files_per_day / SECONDS_PER_DAY

    @property
    def video_bytes_per_day(self) -> float:
        """Return bytes of video per day."""
        return self.video_s_per_day * self.video_bits_per_second / 8

    @property
    def media_bytes_per_day(self) -> float:
        """Return bytes of all media per day."""
        return self.media_per_day * self.image_bytes + self.video_bytes_per_day

    @property
    def clip_bytes(self) -> float:
        """Return the bytes of a video file."""
        return self.clip_s * self.video_bits_per_second / 8

    @property
    def file_bytes(self) -> float:
        """Return the bytes of a media file, on average; 0 without any."""
        return self.media_bytes_per_day / self.files_per_day if self.files_per_day else 0.0

    @property
    def frames_per_day(self) -> float:
        """Return frames per day: one per image, and one per sampling interval of video."""
        return self.media_per_day + self.video_s_per_day / self.video_sample_interval_s

    @property
    def predictions_per_day(self) -> float:
        """Return predictions per day."""
        return self.predictions_per_second * SECONDS_PER_DAY
