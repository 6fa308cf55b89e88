"""How right the served model is, how sure that is, and what was decided."""

from grafana_foundation_sdk.models.dashboard import Dashboard
from panels import Bounds, Panel, Query, bars, board, graph, number

MODEL = 'model=~"$model"'
ALL = f'{MODEL}, slice="all"'
ACCURACY_LIMIT = Query(f"visionops_model_accuracy_limit{{{MODEL}}}", "limit")

NOW: list[Panel] = [
    number(
        "Champion",
        Query(f"visionops_champion_version{{{MODEL}}}"),
        "none",
        "Version in service.",
    ),
    number(
        "Accuracy",
        Query(f"visionops_model_accuracy{{{MODEL}}}"),
        "percentunit",
        "On the labelled predictions of the newest window.",
    ),
    number(
        "Estimated accuracy",
        Query(f"visionops_model_estimated_accuracy{{{MODEL}}}"),
        "percentunit",
        "By the model's confidence, without labels. It cannot see that the truth changed.",
    ),
    number(
        "Evidence",
        Query(f"visionops_error_evidence{{{MODEL}}} / visionops_error_evidence_limit"),
        "percentunit",
        "That accuracy is below the limit, as a share of what raises the alarm (logarithms).",
        Bounds(0.5, 1),
    ),
    number(
        "Drift",
        Query(f"visionops_drift{{{MODEL}}}"),
        "bool_yes_no",
        "Whether what it sees differs from what it was trained on.",
        Bounds(1, 2),
    ),
    number(
        "Last decision",
        Query(f"visionops_decision_age_seconds{{{MODEL}}}"),
        "s",
        "Its age. `visionops decisions ls` says what was decided and why.",
        Bounds(3_700, 7_200),
    ),
]


ACCURACY: list[Panel] = [
    graph(
        "Accuracy with labels",
        [
            Query(f"visionops_model_accuracy{{{MODEL}}}", "{{version}}"),
            Query(f"visionops_model_accuracy_low{{{MODEL}}}", "{{version}} low"),
            Query(f"visionops_model_accuracy_high{{{MODEL}}}", "{{version}} high"),
            ACCURACY_LIMIT,
        ],
        "percentunit",
        "With its 95 % interval, and the limit.",
        highest=1,
    ),
    graph(
        "Accuracy as estimated",
        [
            Query(f"visionops_model_estimated_accuracy{{{MODEL}}}", "{{version}}"),
            Query(f"visionops_model_estimated_accuracy_low{{{MODEL}}}", "{{version}} low"),
            Query(f"visionops_model_estimated_accuracy_high{{{MODEL}}}", "{{version}} high"),
            ACCURACY_LIMIT,
        ],
        "percentunit",
        "By confidence, without labels.",
        highest=1,
    ),
    graph(
        "Labels",
        [
            Query(f"visionops_model_predictions{{{MODEL}}}", "predictions"),
            Query(f"visionops_model_labelled{{{MODEL}}}", "labelled"),
        ],
        "short",
        "How many predictions of the newest window have a label.",
    ),
    bars(
        "F1 by class",
        Query(
            f'visionops_model_score{{{ALL}, measure="f1", class!=""}}',
            "{{class}}",
        ),
        "percentunit",
        "Newest window, all slices.",
        highest=1,
    ),
    bars(
        "Accuracy by slice",
        Query(
            f'visionops_model_score{{{MODEL}, measure="accuracy", class=""}}',
            "{{slice}}",
        ),
        "percentunit",
        "Newest window, by the quality of the image.",
        highest=1,
    ),
    graph(
        "Label lag",
        [Query(f"visionops_model_label_lag_seconds{{{MODEL}}}", "{{version}}")],
        "s",
        "Median time from a prediction to its label.",
    ),
]


DECISIONS: list[Panel] = [
    graph(
        "Evidence of errors",
        [
            Query(f"visionops_error_evidence{{{MODEL}}}", "{{version}} evidence"),
            Query(f"visionops_error_evidence_limit{{{MODEL}}}", "{{version}} alarm"),
        ],
        "short",
        "Logarithm of the mixture e-CUSUM over the labelled errors of the release.",
    ),
    graph(
        "Drift: p-values",
        [Query(f"visionops_drift_p_value{{{MODEL}}}", "{{kind}}")],
        "short",
        "By kind, corrected for their number. Small means drift.",
        limit=0.01,
        highest=1,
    ),
    graph(
        "Drift: distance",
        [Query(f"visionops_drift_statistic{{{MODEL}}}", "{{kind}}")],
        "short",
        "By kind: squared MMD of embeddings, total variation of classes, KS otherwise.",
    ),
    bars(
        "Decisions",
        Query("visionops_decisions", "{{outcome}}"),
        "short",
        "How often each outcome was decided.",
    ),
    graph(
        "Labels asked for",
        [Query(f"visionops_labelling_batch_open{{{MODEL}}}", "{{model}}")],
        "short",
        "1 while a labelling batch is open.",
        highest=1,
    ),
    graph(
        "Answers by class",
        [
            Query(
                f"sum by (class) (rate(visionops_predictions_class_total{{{MODEL}}}[5m]))",
                "{{class}}",
            )
        ],
        "reqps",
        "The answers of the model.",
        is_stacked=True,
    ),
]


def build() -> Dashboard:
    """Build the dashboard."""
    rows = [("Now", NOW), ("Accuracy", ACCURACY), ("Drift and decisions", DECISIONS)]
    return board(
        "model",
        "VisionOps: model",
        "How right the served model is, how sure that is, and what was decided.",
        rows,
        is_by_model=True,
    )
