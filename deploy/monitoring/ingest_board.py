"""Shows the media that are sent in, and their fate."""

from burn_rates import BURN_RATES, burn
from grafana_foundation_sdk.models.dashboard import Dashboard
from panels import Bounds, Panel, Query, bars, board, graph, number

UPLOADS = 'job="ingest", route=~"/v1/media|/v1/media/batch|/v1/uploads.*"'

NOW: list[Panel] = [
    number(
        "Uploads",
        Query(f"sum(visionops:requests:rate5m{{{UPLOADS}}})"),
        "reqps",
        "Requests that bring media, a second.",
    ),
    number(
        "Answered by 5xx",
        Query('visionops:slo_errors:ratio_rate5m{slo="ingest-availability"}'),
        "percentunit",
        "Of uploads, over 5 minutes.",
        Bounds(0.001, 0.0144),
    ),
    number(
        "Acknowledged late",
        Query('visionops:slo_errors:ratio_rate5m{slo="ingest-latency"}'),
        "percentunit",
        "Uploads acknowledged more than 1 s after their last byte.",
        Bounds(0.01, 0.144),
    ),
    number(
        "Owed to the queue",
        Query("visionops_outbox_oldest_age_seconds"),
        "s",
        "Age of the oldest event that the queue has not acknowledged.",
        Bounds(60, 300),
    ),
    number(
        "Quarantined",
        Query("visionops_quarantine_rate"),
        "percentunit",
        "Share of the last hour's media that cannot be used.",
        Bounds(0.05, 0.1),
    ),
    number(
        "Never taken",
        Query("visionops_media_untaken"),
        "short",
        "Media whose events should have been taken from the queue long ago.",
        Bounds(1, 10),
    ),
]


REQUESTS: list[Panel] = [
    graph(
        "Requests by status",
        [Query('sum by (status) (visionops:requests:rate5m{job="ingest"})', "{{status}}")],
        "reqps",
        "All routes of the ingest API.",
        is_stacked=True,
    ),
    graph(
        "Time to acknowledge",
        [
            Query(
                'visionops:request_seconds:quantile5m{job="ingest", route="/v1/media"}',
                "p{{quantile}}",
            )
        ],
        "s",
        "From an upload's last byte to the end of the answer, by quantile.",
        limit=1.0,
    ),
    graph(
        "Burn rate: availability",
        burn("ingest-availability", 0.001),
        "short",
        f"99.9 % of uploads are not answered by 5xx. {BURN_RATES}",
        limit=1.0,
    ),
    graph(
        "Burn rate: latency",
        burn("ingest-latency", 0.01),
        "short",
        f"99 % of uploads are acknowledged within 1 s. {BURN_RATES}",
        limit=1.0,
    ),
    graph(
        "Uploads by outcome",
        [Query("sum by (outcome) (rate(visionops_uploads_total[5m]))", "{{outcome}}")],
        "reqps",
        "Stored, duplicate, or the code of the refusal.",
        is_stacked=True,
    ),
    graph(
        "Bytes acknowledged",
        [Query("sum(rate(visionops_uploaded_bytes_total[5m]))", "media")],
        "Bps",
        "A second.",
    ),
    graph(
        "Left behind",
        [
            Query("visionops_uploads_expired", "uploads"),
            Query("visionops_resumable_uploads_expired", "resumable uploads"),
        ],
        "short",
        "Uploads that were given up, for the sweep to clear away.",
    ),
    graph(
        "Media by status",
        [Query("visionops_media", "{{status}}")],
        "short",
        "All files that were sent in, by their status.",
    ),
    bars(
        "Quarantine by reason",
        Query("visionops_media_quarantined", "{{code}}"),
        "short",
        "`visionops quarantine ls` shows the files.",
    ),
]


CAMERAS: list[Panel] = [
    graph(
        "Cameras up",
        [Query("visionops_camera_up", "{{camera}}")],
        "short",
        "1 while a stream comes.",
        highest=1,
    ),
    graph(
        "Frame rate",
        [Query("visionops_camera_frame_rate_hz", "{{camera}}")],
        "short",
        "Frames a second.",
    ),
    graph(
        "Clips waiting",
        [Query("visionops_camera_waiting_clips", "{{camera}}")],
        "short",
        "Clips and stills that ingest has not acknowledged.",
    ),
]


def build() -> Dashboard:
    """Build the dashboard."""
    rows = [("Now", NOW), ("Uploads", REQUESTS), ("Cameras", CAMERAS)]
    return board("ingest", "VisionOps: ingest", "Media that are sent in, and their fate.", rows)
