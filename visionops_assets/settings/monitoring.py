"""Settings of monitoring: its intervals, tests and decisions."""

from pydantic import Field
from pydantic_settings import BaseSettings


class MonitoringSettings(BaseSettings):
    """Performance, drift, decisions."""

    monitoring_interval_s: float = Field(
        30.0, ge=0, description="Shortest time between two measurements of the served model."
    )
    monitoring_max_interval_s: float = Field(
        3_600.0, gt=0, description="Longest time between two measurements, also without news."
    )
    monitoring_window_predictions: int = Field(
        2_000, gt=0, description="Newest predictions of a release that one measurement looks at."
    )
    monitoring_min_accuracy: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="The limit of accuracy: below it the model must be replaced. Unset: it "
        "follows from what the gate measured of the served model.",
    )
    monitoring_average_run_length: float = Field(
        5_000.0,
        gt=1,
        description="Labels on average until a false alarm, for a model exactly at the limit.",
    )
    drift_significance: float = Field(
        0.01, gt=0, lt=1, description="Chance that undrifted images are called drifted."
    )
    drift_min_predictions: int = Field(
        100, gt=1, description="Fewest predictions with which drift is tested."
    )

    retrain_min_new_labels: int = Field(
        100, gt=0, description="Newly labelled frames that a retraining needs."
    )
    retrain_cooldown_s: float = Field(
        1_800.0,
        ge=0,
        description="Shortest time between two retrainings; it doubles when one is refused.",
    )
    retrain_max_cooldown_s: float = Field(
        86_400.0, ge=0, description="Longest that this time gets by doubling."
    )
    retrain_max_s: float = Field(
        7_200.0,
        gt=0,
        description="Longest time of a retraining; one without a result by then is given up.",
    )
    retrain_canary_percent: float = Field(
        20.0,
        ge=0,
        le=100,
        description="Percentage of the gateway's traffic on which a retrained model is tried "
        "first. 0 releases it at once, for installations whose requests do not pass the gateway.",
    )
    rollback_within_labels: int = Field(
        500,
        ge=0,
        description="A release that raises the alarm within this many labels is rolled back, if "
        "the one before it raised none.",
    )
    labelling_batch_size: int = Field(200, gt=0, description="Predictions per labelling batch.")
    labelling_batch_max_age_s: float = Field(
        604_800.0, gt=0, description="Age at which an open labelling batch is closed."
    )
