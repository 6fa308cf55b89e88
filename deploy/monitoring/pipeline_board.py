"""From the queue to the catalog, and what drives it."""

from grafana_foundation_sdk.models.dashboard import Dashboard
from panels import Bounds, Panel, Query, board, graph, number

NOW: list[Panel] = [
    number(
        "Alerts",
        Query("visionops_alerts_firing"),
        "short",
        "That fire, as Alertmanager told.",
        Bounds(1, 5),
    ),
    number(
        "Servers down",
        Query("count(up) - sum(up)"),
        "short",
        "Of those that Prometheus scrapes.",
        Bounds(1, 1),
    ),
    number(
        "Consumer lag",
        Query("sum(visionops_consumer_lag)"),
        "short",
        "Messages of all topics that wait to be taken.",
        Bounds(1_000, 10_000),
    ),
    number(
        "Failed runs",
        Query('sum(visionops_pipeline_runs{status="failure"})'),
        "short",
        "Of the last day. A gate that refuses a model ends its run, too.",
        Bounds(1, 10),
    ),
    number(
        "Slowest sensor",
        Query("max(visionops_sensor_age_seconds)"),
        "s",
        "Longest time since a running sensor was evaluated.",
        Bounds(120, 600),
    ),
    number(
        "Health looked at",
        Query("visionops_health_age_seconds"),
        "s",
        "Lag, runs and sensors are as old as this.",
        Bounds(600, 1_200),
    ),
]


FLOW: list[Panel] = [
    graph(
        "Consumer lag",
        [Query("visionops_consumer_lag", "{{topic}} {{partition}}")],
        "short",
        "Messages that wait, by topic and partition.",
    ),
    graph(
        "Outbox",
        [Query("visionops_outbox_unpublished", "events owed")],
        "short",
        "Events that are owed to the queue.",
    ),
    graph(
        "In the catalog",
        [
            Query("visionops_frames", "frames"),
            Query("visionops_labels", "labels"),
            Query("visionops_snapshots", "snapshots"),
        ],
        "short",
        "How much there is.",
    ),
    graph(
        "Runs of the last day",
        [
            Query(
                'sum by (job, status) (visionops_pipeline_runs{status!="success"}) > 0',
                "{{job}} {{status}}",
            )
        ],
        "short",
        "Those that did not succeed, by job and status.",
    ),
    graph(
        "Sensors",
        [Query("visionops_sensor_age_seconds", "{{sensor}}")],
        "s",
        "Time since each was last evaluated.",
    ),
    graph(
        "Failing sensors",
        [Query("visionops_sensor_failing", "{{sensor}}")],
        "short",
        "1 if the last evaluation raised an error.",
        highest=1,
    ),
]


MACHINES: list[Panel] = [
    graph(
        "CPU",
        [Query("visionops:process_cpu_cores:rate5m", "{{job}}")],
        "short",
        "Cores in use, by service.",
    ),
    graph(
        "Memory",
        [Query("visionops:process_memory_bytes:sum", "{{job}}")],
        "bytes",
        "Resident memory, by service.",
    ),
    graph("Up", [Query("up", "{{job}}")], "short", "Whether Prometheus can read it.", highest=1),
]


def build() -> Dashboard:
    """Build the dashboard."""
    rows = [("Now", NOW), ("Flow", FLOW), ("Processes", MACHINES)]
    return board(
        "pipeline",
        "VisionOps: pipeline",
        "From the queue to the catalog, and what drives it.",
        rows,
    )
