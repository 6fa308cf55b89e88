"""The figures of every camera, for Prometheus: read when they are scraped."""

from collections.abc import Callable, Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from visionops_assets.services.camera.running import RunningCamera

_GAUGES: dict[str, tuple[str, Callable[[RunningCamera], float]]] = {
    "visionops_camera_up": (
        "Whether the stream comes.",
        lambda camera: camera.state.is_up,
    ),
    "visionops_camera_frame_rate_hz": (
        "Frames per second over the last seconds.",
        lambda camera: camera.state.frame_rate_hz,
    ),
    "visionops_camera_last_seen_seconds": (
        "Unix time of the last frames; 0 if there were none.",
        lambda camera: camera.state.last_seen_s,
    ),
    "visionops_camera_waiting_clips": (
        "Clips and stills that ingest has not acknowledged yet.",
        lambda camera: camera.backlog.waiting,
    ),
}
_COUNTERS: dict[str, tuple[str, Callable[[RunningCamera], float]]] = {
    "visionops_camera_dropped_frames": (
        "Frames that came damaged or could not be decoded.",
        lambda camera: camera.state.dropped_frames,
    ),
    "visionops_camera_dropped_clips": (
        "Clips and stills that were lost because ingest did not take them in time.",
        lambda camera: camera.backlog.dropped,
    ),
    "visionops_camera_reconnects": (
        "Times that the stream was lost.",
        lambda camera: camera.state.reconnects,
    ),
}


class CameraCollector(Collector):
    """Reads the figures of the running cameras. A camera that was removed has no series."""

    def __init__(self, running: Callable[[], list[RunningCamera]]) -> None:
        self._running = running

    def collect(self) -> Iterable[Metric]:
        """Return every metric, with one series per camera."""
        cameras = self._running()
        for kind, metrics in ((GaugeMetricFamily, _GAUGES), (CounterMetricFamily, _COUNTERS)):
            for name, (documentation, value) in metrics.items():
                family = kind(name, documentation, labels=["camera"])
                for camera in cameras:
                    family.add_metric([camera.entry.name], value(camera))
                yield family
        uploads = CounterMetricFamily(
            "visionops_camera_uploads",
            "Clips and stills by outcome: stored, duplicate, or why ingest refused them.",
            labels=["camera", "outcome"],
        )
        for camera in cameras:
            for outcome, count in camera.state.uploads().items():
                uploads.add_metric([camera.entry.name, outcome], count)
        yield uploads

    def describe(self) -> Iterable[Metric]:
        """Return nothing: the names do not depend on the running cameras."""
        return []
