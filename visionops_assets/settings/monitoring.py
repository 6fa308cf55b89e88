"""Settings of monitoring: how often it measures."""

from pydantic import Field
from pydantic_settings import BaseSettings


class MonitoringSettings(BaseSettings):
    """The pace of monitoring."""

    monitoring_interval_s: float = Field(
        30.0, ge=0, description="Shortest time between two measurements of the served model."
    )
    monitoring_max_interval_s: float = Field(
        3_600.0, gt=0, description="Longest time between two measurements, also without news."
    )
