"""The gateway and Triton: how many, how fast, how many fail."""

from burn_rates import BURN_RATES, burn
from grafana_foundation_sdk.models.dashboard import Dashboard
from panels import Bounds, Panel, Query, board, graph, number

EACH = "{{model}} {{version}}"

NOW: list[Panel] = [
    number(
        "Predictions",
        Query('sum(visionops:requests:rate5m{job="gateway", route=~".*/predict|.*/ModelInfer"})'),
        "reqps",
        "Requests of the gateway, a second.",
    ),
    number(
        "Answered by 5xx",
        Query('visionops:slo_errors:ratio_rate5m{slo="serving-availability"}'),
        "percentunit",
        "Of predictions, over 5 minutes.",
        Bounds(0.001, 0.0144),
    ),
    number(
        "p99",
        Query(
            'max(visionops:request_seconds:quantile5m{job="gateway", quantile="0.99",'
            ' route=~".*/predict|.*/ModelInfer"})'
        ),
        "s",
        "Latency of the gateway.",
        Bounds(0.25, 0.5),
    ),
    number(
        "Refused",
        Query("visionops:gateway_rejected:ratio_rate5m"),
        "percentunit",
        "Predictions refused to protect the service.",
        Bounds(0.01, 0.05),
    ),
    number(
        "Breaker",
        Query("max(visionops_gateway_breaker_state)"),
        "none",
        "0 closed, 1 half open, 2 open: Triton is left alone.",
        Bounds(1, 2),
    ),
    number(
        "Not recorded",
        Query("sum(increase(visionops_predictions_dropped_total[1h]))"),
        "short",
        "Predictions of the last hour that monitoring never saw.",
        Bounds(1, 100),
    ),
]


GATEWAY: list[Panel] = [
    graph(
        "Requests by status",
        [Query('sum by (status) (visionops:requests:rate5m{job="gateway"})', "{{status}}")],
        "reqps",
        "All routes of the gateway.",
        is_stacked=True,
    ),
    graph(
        "Latency",
        [
            Query(
                'visionops:request_seconds:quantile5m{job="gateway",'
                ' route=~".*/predict|.*/ModelInfer"}',
                "p{{quantile}} {{route}}",
            )
        ],
        "s",
        "Of predictions, by quantile.",
        limit=0.5,
    ),
    graph(
        "Under way",
        [
            Query("visionops_gateway_in_flight", "predictions"),
            Query("visionops_gateway_streams", "streams"),
        ],
        "short",
        "Predictions and streams.",
    ),
    graph(
        "Burn rate: availability",
        burn("serving-availability", 0.001),
        "short",
        f"99.9 % of predictions are not answered by 5xx. {BURN_RATES}",
        limit=1.0,
    ),
    graph(
        "Burn rate: latency",
        burn("serving-latency", 0.01),
        "short",
        f"99 % of predictions are answered within 500 ms. {BURN_RATES}",
        limit=1.0,
    ),
    graph(
        "Refused, and rollouts",
        [
            Query(
                "sum by (reason) (rate(visionops_gateway_rejected_total[5m]))",
                "refused: {{reason}}",
            ),
            Query(
                "sum by (arm, outcome) (rate(visionops_gateway_rollout_total[5m]))",
                "{{arm}} {{outcome}}",
            ),
        ],
        "reqps",
        "Refusals by reason; requests of a canary or shadow by arm.",
    ),
]


TRITON: list[Panel] = [
    graph(
        "Requests",
        [Query("visionops:triton_requests:rate5m", EACH)],
        "reqps",
        "Answered by Triton, by model and version: also those by gRPC.",
    ),
    graph(
        "Latency",
        [Query("visionops:triton_request_seconds:quantile", f"{EACH} p{{{{quantile}}}}")],
        "s",
        "Queue and computation, by Triton's own quantiles.",
    ),
    graph(
        "Failures",
        [Query("visionops:triton_failures:ratio_rate5m", EACH)],
        "percentunit",
        "Images that cannot be used are among them.",
    ),
    graph(
        "Time in the queue",
        [
            Query("visionops:triton_queue_seconds:mean5m", f"{EACH} waits"),
            Query("visionops:triton_compute_seconds:mean5m", f"{EACH} computes"),
        ],
        "s",
        "Mean of a request.",
    ),
    graph(
        "Batch size",
        [Query("visionops:triton_batch_size:mean5m", EACH)],
        "short",
        "Mean number of images that are computed at once.",
    ),
    graph(
        "Confidence",
        [
            Query(
                "sum by (le) (rate(visionops_predictions_confidence_bucket[5m]))",
                "at most {{le}}",
            )
        ],
        "reqps",
        "Predictions by their largest probability, cumulative.",
    ),
]


MACHINE: list[Panel] = [
    graph(
        "CPU and memory",
        [
            Query("visionops:triton_machine_cpu:ratio", "CPU"),
            Query("visionops:triton_machine_memory:ratio", "memory"),
        ],
        "percentunit",
        "Of the machine that Triton runs on.",
        highest=1,
    ),
    graph(
        "GPU",
        [
            Query("visionops:gpu_utilisation:ratio", "{{gpu_uuid}} busy"),
            Query("visionops:gpu_memory:ratio", "{{gpu_uuid}} memory"),
        ],
        "percentunit",
        "Of each GPU; empty without one.",
        highest=1,
    ),
    graph(
        "CPU of the services",
        [Query("visionops:process_cpu_cores:rate5m", "{{job}}")],
        "short",
        "Cores in use.",
    ),
]


def build() -> Dashboard:
    """Build the dashboard."""
    rows = [("Now", NOW), ("Gateway", GATEWAY), ("Triton", TRITON), ("Machine", MACHINE)]
    return board(
        "serving",
        "VisionOps: serving",
        "The gateway and Triton: how many, how fast, how many fail.",
        rows,
    )
