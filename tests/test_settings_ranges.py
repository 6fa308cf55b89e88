"""The default and the range of each number among the settings: a limit that moves is seen here."""

import pytest
from annotated_types import Ge, Gt, Le, Lt
from pydantic.fields import FieldInfo

from visionops_assets.settings import Settings

RANGES: dict[str, tuple[float | None, str]] = {
    "monitoring_interval_s": (30.0, ">= 0"),
    "monitoring_max_interval_s": (3_600, "> 0"),
    "serving_instances": (0, ">= 0"),
    "serving_max_queue": (256, "> 0"),
    "prediction_image_sample_rate": (0.01, ">= 0 <= 1"),
    "gateway_max_in_flight": (64, "> 0"),
    "gateway_max_costly": (0, ">= 0"),
    "gateway_deadline_s": (10.0, "> 0"),
    "gateway_breaker_failures": (5, "> 0"),
    "gateway_breaker_open_s": (2.0, "> 0"),
    "max_upload_bytes": (2_147_483_648, "> 0"),
    "max_predicted_image_bytes": (33_554_432, "> 0"),
    "max_predicted_image_pixels": (16_000_000, "> 0"),
    "max_image_pixels": (63_237_198, "> 0"),
    "max_video_duration_s": (18_000, "> 0"),
    "decode_timeout_s": (60.0, "> 0"),
    "decode_memory_bytes": (2_147_483_648, "> 0"),
    "upload_lease_s": (300.0, "> 0"),
    "body_idle_timeout_s": (30.0, "> 0"),
    "resumable_expiry_s": (86_400, "> 0"),
    "resumable_min_part_bytes": (262_144, "> 0"),
    "resumable_max_open": (100, "> 0"),
    "resumable_max_open_bytes": (34_359_738_368, "> 0"),
    "idempotency_expiry_s": (86_400, "> 0"),
    "sweep_interval_s": (30.0, "> 0"),
    "announce_again_after_s": (3_600, "> 0"),
    "batch_max_messages": (4_000, "> 0"),
    "batch_max_bytes": (2_000_000_000, "> 0"),
    "batch_max_wait_s": (30.0, ">= 0"),
    "batches_kept": (20_000, "> 0"),
    "frame_cache_bytes": (21_474_836_480, "> 0"),
    "shard_max_bytes": (67_108_864, "> 0"),
    "prometheus_scrape_interval_s": (5, "> 0"),
    "prometheus_retention_d": (15, "> 0"),
}
"""By name: the default, and the bounds in words."""
SIGNS = {Ge: (">=", "ge"), Gt: (">", "gt"), Le: ("<=", "le"), Lt: ("<", "lt")}


def bounds_of(field: FieldInfo) -> str:
    """Write the bounds of a field."""
    found = []
    for bound in field.metadata:
        if type(bound) in SIGNS:
            sign, limit = SIGNS[type(bound)]
            found.append(f"{sign} {getattr(bound, limit):g}")
    return " ".join(found)


@pytest.mark.parametrize("name", RANGES)
def test_a_number_has_its_default_and_its_range(name: str) -> None:
    default, words = RANGES[name]
    assert getattr(Settings(), name) == default
    assert bounds_of(Settings.model_fields[name]) == words


def test_every_range_is_in_the_table() -> None:
    assert {
        name for name, field in Settings.model_fields.items() if bounds_of(field)
    } == RANGES.keys()


def test_the_most_pixels_follow_from_the_memory_of_the_decoder() -> None:
    gigabyte = 1024**3
    assert Settings().max_image_pixels > 9_504 * 6_336, "the largest cameras of today"
    assert Settings(decode_memory_bytes=4 * gigabyte).max_image_pixels == pytest.approx(
        2 * Settings(decode_memory_bytes=2 * gigabyte).max_image_pixels, rel=0.2
    )
    assert Settings(decode_memory_bytes=1).max_image_pixels == 1
    assert Settings(decode_memory_bytes=gigabyte, max_image_pixels=7).max_image_pixels == 7
