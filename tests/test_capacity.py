"""The capacity model: figures by hand, and what must hold of any demand."""

import inspect
import re
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visionops_assets.capacity import measurements as m
from visionops_assets.capacity.cost import costs_of
from visionops_assets.capacity.demand import Demand
from visionops_assets.capacity.limits import Limit, limits_of
from visionops_assets.capacity.load import batches_per_day, media_partitions
from visionops_assets.capacity.measurements import MODELS, Basis
from visionops_assets.capacity.planning import figures_of
from visionops_assets.cli.capacity import capacity
from visionops_assets.errors import InvalidRequestError
from visionops_assets.models import default_model
from visionops_assets.settings import Settings
from visionops_assets.stages.media.sensors import MAX_BATCHES_PER_TICK
from visionops_assets.vision.architectures import build

DOCUMENTED = Path(__file__).parents[1] / "docs" / "explanation" / "figures.md"
BILLION_A_YEAR = 1e9 / 365
GROWING = (
    "media_per_day",
    "video_hours_per_day",
    "predictions_per_second",
    "peak_factor",
    "retention_days",
    "queue_retention_days",
    "replication",
    "image_bytes",
    "image_pixels",
    "video_bits_per_second",
    "video_pixels",
    "kept_image_share",
    "labelled_share",
)
OTHERS = (
    "clip_s",
    "batch_max_messages",
    "batch_max_wait_s",
    "video_sample_interval_s",
    "gpu_inferences_per_second",
)
demands = st.builds(
    Demand,
    media_per_day=st.floats(0, 1e8),
    video_hours_per_day=st.floats(0, 1e5),
    predictions_per_second=st.floats(0, 1e5),
    peak_factor=st.floats(1, 20),
    retention_days=st.floats(1, 3_650),
    queue_retention_days=st.floats(0, 60),
    replication=st.integers(1, 5),
    image_bytes=st.floats(0, 2e7),
    image_pixels=st.floats(0, 5e7),
    video_bits_per_second=st.floats(0, 5e7),
    video_pixels=st.floats(0, 8e6),
    kept_image_share=st.floats(0, 1),
    labelled_share=st.floats(0, 1),
    clip_s=st.floats(1, 3_600),
    batch_max_messages=st.integers(1, 20_000),
    batch_max_wait_s=st.floats(1, 3_600),
    model=st.sampled_from(sorted(MODELS)),
)


def documented_figures() -> dict[str, float]:
    """Return the documented figures by model, size and name, as `make bench` said them.

    A row that says "the same" belongs to the model of the rows above it.
    """
    found: dict[str, float] = {}
    model = ""
    for line in DOCUMENTED.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("| ").split(" | ")]
        number = re.match(r"([\d,.]+) (?:/s|ms)", cells[2]) if len(cells) == 6 else None
        if not number:
            continue
        if match := re.match(r"predictions, ([\w-]+), (\d+) px", cells[0]):
            model = f"{match[1]}-{match[2]} "
        elif cells[0].startswith(("frames", "uploads")):
            model = ""
        found.setdefault(model + cells[0], float(number[1].replace(",", "")))
    return found


def values(demand: Demand) -> dict[str, float]:
    """Return everything that may only grow with a demand, by key."""
    return (
        {figure.key: figure.value for figure in figures_of(demand)}
        | {f"limit: {limit.key}": limit.load for limit in limits_of(demand)}
        | {"cost": sum(cost.usd_per_month for cost in costs_of(demand))}
    )


SMALL = Demand(
    media_per_day=8_640_000,  # 100 a second
    predictions_per_second=1_000,
    peak_factor=2,
    retention_days=10,
    queue_retention_days=1,
    replication=3,
    kept_image_share=0.01,
    labelled_share=0,
)


def test_figures_of_a_small_installation_are_those_one_works_out_by_hand() -> None:
    found = values(SMALL)
    assert found["media_bytes"] == pytest.approx(8_640_000 * 200_000 * 10)
    assert found["frames_bytes"] == pytest.approx(8_640_000 * 9_268 * 10)
    assert found["kept_images_bytes"] == pytest.approx(864_000 * 200_000 * 10)
    # 200 files/s x (2.26 ms + 0.2 MB x 10.3 ms) = 0.86 busy machines, loaded to 0.7.
    assert found["ingest"] == 2
    # 2,000 /s of 1,034 /s a pod = 1.93, loaded to 0.7.
    assert found["triton_cpu"] == 3
    # 2,000 /s x 25.1 ms = 50.2 in flight of 64 a pod; by CPU time 1.8 of 2 cores, loaded to 0.7.
    assert found["gateway"] == 2
    # 200 files/s are within the 3,200 /s that one partition is cut at.
    assert found["media_partitions"] == 1
    assert found["concurrent_runs"] == 1
    # Due after 30 s, before it is full.
    assert found["batches_per_day"] == pytest.approx(2_880)
    # 200 /s x 1.86 ms = 0.37 cores, and 0.033 runs/s x 6 s = 0.2; there are never fewer.
    assert found["frame_workers"] == 2
    # Events of 500 bytes, 100 a second, and 1,000 records a second of 620 + 96 x 20 bytes,
    # with one image in a hundred in Base64.
    published_hz = 100 * 500 + 1_000 * (620 + 96 * 20 + 0.01 * 200_000 * 4 / 3)
    assert found["queue_bytes"] == pytest.approx(published_hz * 86_400 * 3)
    assert found["postgres_writes_hz"] == pytest.approx((100 * 7 + 100 + 1_000) * 2)


@settings(max_examples=300)
@given(demand=demands, field=st.sampled_from(GROWING), factor=st.floats(1, 10))
def test_more_of_anything_never_needs_less(demand: Demand, field: str, factor: float) -> None:
    value = getattr(demand, field)
    more = value * factor
    if field == "replication":
        more = value + 1
    elif field.endswith("share"):
        more = min(more, 1.0)
    grown = values(replace(demand, **{field: more}))
    # Of larger files fewer fit into a batch.
    of_bytes = {"image_bytes", "video_bits_per_second", "clip_s"}
    exempt = {"limit: batch_run_s"} if field in of_bytes else set()
    for key, before in values(demand).items():
        assert key in exempt or grown[key] >= before * (1 - 1e-9), key


@given(model=st.sampled_from(sorted(MODELS)), scale=st.floats(1, 3))
def test_ten_times_the_load_needs_about_ten_times_as_much(model: str, scale: float) -> None:
    one = Demand(
        media_per_day=BILLION_A_YEAR * 10 * scale,
        video_hours_per_day=10_000 * scale,
        predictions_per_second=5_000 * scale,
        model=model,
    )
    ten = replace(
        one,
        media_per_day=one.media_per_day * 10,
        video_hours_per_day=one.video_hours_per_day * 10,
        predictions_per_second=one.predictions_per_second * 10,
    )
    small, large = values(one), values(ten)
    # Of a batch; at most so many a day.
    of_time = {"limit: batch_run_s", "runs_per_day", "run_log_bytes"}
    for key in small.keys() - of_time:
        # Where few are needed, rounding up to whole ones weighs more than the load.
        assert large[key] <= small[key] * 10.5, key
        if small[key] >= 20:
            assert large[key] >= small[key] * 9, key
    assert large["runs_per_day"] > small["runs_per_day"]


def test_the_served_model_is_measured_hourly_though_nobody_asks_it() -> None:
    found = values(Demand(media_per_day=1_000, predictions_per_second=0))
    of_monitoring = found["runs_per_day"] - found["batches_per_day"] - m.HEALTH_RUNS_PER_DAY.value
    assert of_monitoring == pytest.approx(24)


def test_everything_that_can_be_short_is_in_the_plan() -> None:
    found = values(Demand(media_per_day=BILLION_A_YEAR, predictions_per_second=100))
    assert found.keys() == {
        "ingest", "gateway", "triton_cpu", "triton_gpu", "frame_workers",
        "media_bytes", "frames_bytes", "kept_images_bytes", "queue_bytes", "catalog_bytes",
        "run_log_bytes", "brokers", "media_partitions", "prediction_partitions",
        "postgres_writes_hz", "postgres_cores", "batches_per_day", "runs_per_day",
        "concurrent_runs", "limit: batch_run_s",
        "limit: concurrent_runs", "limit: postgres_writes", "limit: postgres_connections",
        "limit: prediction_log", "limit: store_writes", "limit: ingest_pods",
        "limit: gateway_pods", "limit: triton_gpu_pods", "cost",
    }  # fmt: skip
    assert all(value > 0 for value in found.values())


@pytest.mark.parametrize("field", [*GROWING, *OTHERS])
def test_each_input_matters(field: str) -> None:
    """A field that changes nothing would be an option that lies."""
    demand = Demand(media_per_day=1e6, video_hours_per_day=100, predictions_per_second=20_000)
    value = getattr(demand, field)
    changed = (replace(demand, **{field: new}) for new in (value * 7, value / 20))
    assert any(values(each) != values(demand) for each in changed)


def test_every_field_of_a_demand_is_tested() -> None:
    assert {field.name for field in fields(Demand)} == {*GROWING, *OTHERS, "model"}


def test_larger_embeddings_are_taken_more_slowly() -> None:
    def taken_hz(model: str) -> float:
        limits = limits_of(Demand(media_per_day=1, predictions_per_second=1_200, model=model))
        (found,) = (limit for limit in limits if limit.key == "prediction_log")
        assert found.is_exceeded == (found.limit < 1_200)
        return found.limit

    # 0.425 ms and 1.37 us a float.
    assert taken_hz("resnet-tiny-64") == pytest.approx(1_797, rel=0.01)
    assert taken_hz("resnet-18-224") == pytest.approx(888, rel=0.01)


def test_nobody_is_told_to_delete_what_leaves_by_itself() -> None:
    demand = Demand(media_per_day=BILLION_A_YEAR, video_hours_per_day=1_000)
    told = [limit.remedy for limit in limits_of(demand)]
    told += [figure.because for figure in figures_of(demand)]
    assert not [text for text in told if "elete" in text]
    assert any("20,000 stay in the UI" in text for text in told)
    assert m.BATCHES_KEPT.value == Settings().batches_kept


def test_a_batch_after_an_outage_is_full_of_the_most_expensive_media() -> None:
    demand = Demand(media_per_day=BILLION_A_YEAR, video_hours_per_day=1_000)
    # 2 GB are 8,000 s of 2 Mbit/s, in 720p: 8,000 / 77 s x 921,600 / 174,080 pixels.
    loads = {limit.key: limit.load for limit in limits_of(demand)}
    assert loads["batch_run_s"] == pytest.approx(8_000 / 77 * 921_600 / 174_080 + 6)


def test_batches_are_as_many_as_events_when_events_are_rare() -> None:
    assert batches_per_day(Demand(media_per_day=10)) == pytest.approx(10)
    assert batches_per_day(Demand(media_per_day=0)) == 0


def test_partitions_follow_the_sensor() -> None:
    by_second = Demand(media_per_day=86_400 * 2_240 * 3, peak_factor=1)
    assert media_partitions(by_second) == 3


def test_a_gpu_pod_does_no_more_than_its_processors_decode() -> None:
    slow, fast = (
        Demand(media_per_day=1, predictions_per_second=1e5, gpu_inferences_per_second=rate)
        for rate in (100, 1e9)
    )
    decoded_hz = 8 / (0.000385 + 0.001199 * 1.2288)
    assert values(fast)["triton_gpu"] == pytest.approx(3e5 / decoded_hz / 0.7, abs=1)
    assert values(slow)["triton_gpu"] == pytest.approx(3e5 / 100 / 0.7, abs=1)


def test_what_one_machine_did_is_measured_and_more_is_extrapolated() -> None:
    def basis(predictions_per_second: float) -> Basis:
        demand = Demand(media_per_day=1, predictions_per_second=predictions_per_second)
        return next(f.basis for f in figures_of(demand) if f.key == "triton_cpu")

    assert basis(100) is Basis.MEASURED
    assert basis(1_000) is Basis.EXTRAPOLATED


def test_what_was_never_measured_says_so() -> None:
    figures = {figure.key: figure.basis for figure in figures_of(Demand(media_per_day=1e6))}
    never_ran = {"triton_gpu", "brokers", "postgres_cores", "run_log_bytes"}
    assert {figures[key] for key in never_ran} == {Basis.ASSUMED}


def test_constants_say_where_they_come_from() -> None:
    found = m.constants()
    assert len(found) > 30
    for name, constant in found.items():
        assert constant.value > 0, name
        assert constant.unit, name
        assert constant.source, name


def test_measured_constants_are_those_of_the_readme() -> None:
    """Measuring again may move them a little; by more, and the model must be told."""
    said = documented_figures()
    for name, model in MODELS.items():
        assert said[f"{name} the same, 32 in flight"] == pytest.approx(model.peak_hz, rel=0.15)
        p99_ms = said[f"{name} p99 latency at 0.7 of peak load"]
        assert p99_ms == pytest.approx(model.p99_ms, rel=0.15)
    for size, megabytes in (("20 KB", 0.02), ("20 MB", 20)):
        upload_s = m.UPLOAD_S.value + megabytes * m.UPLOAD_S_PER_MB.value
        assert 1 / upload_s == pytest.approx(said[f"uploads of {size}, 8 connections"], rel=0.15)
    # Between its ends the line needs too much, which is the safe side.
    between_s = m.UPLOAD_S.value + 0.2 * m.UPLOAD_S_PER_MB.value
    assert 1 < between_s * said["uploads of 200 KB, 8 connections"] < 1.35
    for name, megapixels in (("8x8 PNG files", 64e-6), ("1280x960 JPEG files", 1.2288)):
        frame_s = m.IMAGE_FRAME_S.value + megapixels * m.IMAGE_FRAME_S_PER_MP.value
        assert 1 / frame_s == pytest.approx(said[f"frames from {name}"], rel=0.15)
    assert 1 / m.VIDEO_S_PER_S.value == pytest.approx(said["frames from a 640x272 video"], rel=0.15)
    with_gateway = said["resnet-tiny-64 CPU time with the gateway before it"]
    alone = said["resnet-tiny-64 CPU time of a prediction"]
    assert m.GATEWAY_S.value * 1_000 == pytest.approx(with_gateway - alone, rel=0.3)


def test_costs_are_in_order_and_make_a_whole() -> None:
    costs = costs_of(Demand(media_per_day=BILLION_A_YEAR, predictions_per_second=30))
    spent = [cost.usd_per_month for cost in costs]
    assert spent == sorted(spent, reverse=True)
    assert sum(cost.share for cost in costs) == pytest.approx(1)
    assert costs[0].driver == "media in the object store"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("media_per_day", -1),
        ("media_per_day", float("nan")),
        ("predictions_per_second", float("inf")),
        ("peak_factor", 0.5),
        ("replication", 0),
        ("retention_days", 0),
        ("clip_s", 0),
        ("labelled_share", 1.5),
        ("gpu_inferences_per_second", 0),
        ("model", "resnet-9000"),
    ],
)
def test_a_demand_that_cannot_be_is_refused(field: str, value: float | str) -> None:
    with pytest.raises(InvalidRequestError, match=r"\d|must|share|figures"):
        replace(Demand(media_per_day=1), **{field: value})  # type: ignore[arg-type]


def test_brokers_are_enough_for_the_bytes_of_all_replicas() -> None:
    """10,000 predictions/s of 2,540 bytes are 25.4 MB/s: at three replicas 76, and 50 a broker."""
    demand = Demand(
        media_per_day=0,
        video_hours_per_day=0,
        predictions_per_second=10_000,
        peak_factor=1,
        queue_retention_days=0.01,
        kept_image_share=0,
        model="resnet-tiny-64",
    )

    def brokers(**changes: Any) -> float:
        figures = {figure.key: figure.value for figure in figures_of(replace(demand, **changes))}
        return figures["brokers"]

    assert m.PREDICTION_BYTES.value + 96 * m.FLOAT_BYTES.value == 2_540
    assert brokers(replication=1) == 1
    assert brokers(replication=3) == 3, "one for each replica"
    assert brokers(replication=1, peak_factor=4) == 3  # 101.6 MB/s
    assert brokers(replication=3, peak_factor=4) == 7  # 304.8 MB/s
    # The disk: 25.4 MB/s x 86,400 s x 3 are 6.6 TB a day, and 1.4 TB a broker.
    assert brokers(replication=3, queue_retention_days=1) == 5


LARGE = replace(
    SMALL,
    video_hours_per_day=2_400,  # 1.67 clips of a minute a second
    labelled_share=0.1,
)


def test_a_large_installation_costs_what_one_works_out_by_hand() -> None:
    found = values(LARGE)
    costs = {cost.driver: cost.usd_per_month for cost in costs_of(LARGE)}
    of_machines = {
        "ingest": found["ingest"] * 2 * 30,
        "gateway": found["gateway"] * 2 * 30,
        "Triton on CPUs": found["triton_cpu"] * 2 * 30,
        "brokers": found["brokers"] * 4 * 30,
        "PostgreSQL, all copies": found["postgres_cores"] * 3 * 30,
    }
    assert of_machines == {
        "ingest": 120, "gateway": 120, "Triton on CPUs": 180, "brokers": 360,
        "PostgreSQL, all copies": 270,
    }  # fmt: skip
    of_bytes = {
        "media in the object store": found["media_bytes"] / 1e9 * 0.023,
        "frames in the object store": found["frames_bytes"] / 1e9 * 0.023,
        "kept images in the object store": found["kept_images_bytes"] / 1e9 * 0.023,
        "disks of the queue": found["queue_bytes"] / 1e9 * 0.1,
        "disks of PostgreSQL, all copies": (found["catalog_bytes"] + found["run_log_bytes"])
        * 3 / 1e9 * 0.1,
        # 8,784,000 files and 864,000 kept images a day, for 30 days.
        "writes of objects": 9_648_000 * 30 / 1_000 * 0.005,
        # 14.32 cores busy, loaded to 0.7.
        "frame workers": 14.32262 / 0.7 * 30,
    }  # fmt: skip
    assert costs == pytest.approx(of_machines | of_bytes, rel=1e-4)
    assert list(costs.values()) == sorted(costs.values(), reverse=True)
    shares = [cost.share for cost in costs_of(LARGE)]
    assert sum(shares) == pytest.approx(1)
    assert shares[0] == pytest.approx(1_447.2 / 4_830.108, rel=1e-4)


def test_triton_is_on_whichever_is_cheaper() -> None:
    """Of 2,000 /s three pods of 2 cores are 180 USD; of 20,000 28 are 1,680, and GPU pods 8."""
    for rate_hz, where in ((1_000, "CPUs"), (10_000, "CPUs")):
        demand = replace(LARGE, predictions_per_second=rate_hz)
        found = values(demand)
        on_cpu, on_gpu = found["triton_cpu"] * 2 * 30, found["triton_gpu"] * (400 + 8 * 30)
        assert {f"Triton on {where}"} < {cost.driver for cost in costs_of(demand)}
        assert on_cpu <= on_gpu
    heavy = replace(LARGE, model="resnet-18-224")
    (cost,) = (cost for cost in costs_of(heavy) if cost.driver.startswith("Triton"))
    assert cost.driver == "Triton on GPUs"
    assert cost.usd_per_month == values(heavy)["triton_gpu"] * 640


def test_a_large_installation_needs_what_one_works_out_by_hand() -> None:
    found = values(LARGE)
    expected = {
        "media_bytes": 38.88e12,
        "frames_bytes": 1.6015104e12,
        "kept_images_bytes": 1.728e12,
        "queue_bytes": 1.362744e12,
        "catalog_bytes": 2.02986144e12,
        "run_log_bytes": 10_092_521_739.13,
        "frame_workers": 21,
        "prediction_partitions": 2,
        "postgres_writes_hz": 3_843.6667,
        "postgres_cores": 3,
        "batches_per_day": 2_880,
        "runs_per_day": 5_046.26,
        "concurrent_runs": 15,
        "limit: concurrent_runs": 14.322621,
        "limit: postgres_connections": 500,
        "limit: batch_run_s": 556.0382,
        "limit: prediction_log": 1_000,
        "limit: store_writes": 223.33333,
        "limit: postgres_writes": 3_843.6667,
    }
    assert {key: found[key] for key in expected} == pytest.approx(expected, rel=1e-6)
    limits = {limit.key: limit for limit in limits_of(LARGE)}
    assert {key for key, limit in limits.items() if limit.is_exceeded} == {
        "concurrent_runs",
    }  # fmt: skip
    assert {key: limit.limit for key, limit in limits.items()} == pytest.approx(
        {
            "concurrent_runs": 3,
            "postgres_connections": 500,
            "batch_run_s": 7_200,
            "prediction_log": 1_796.88,
            "store_writes": 3_500,
            "postgres_writes": 64 * 2_000 * 0.7,
            "ingest_pods": 20,
            "gateway_pods": 80,
            "triton_gpu_pods": 24,
        },
        rel=1e-4,
    )


def test_what_is_not_said_of_a_demand_is_what_the_command_and_the_settings_say() -> None:
    """The command has its units, the model the basic ones: neither may drift from the other."""
    assumed = Demand(media_per_day=1)
    asked = {
        name: parameter.default
        for name, parameter in inspect.signature(capacity).parameters.items()
    }
    assert asked["image_kb"] * 1e3 == assumed.image_bytes
    assert asked["image_megapixels"] * 1e6 == assumed.image_pixels
    assert asked["video_megapixels"] * 1e6 == assumed.video_pixels
    assert asked["video_mbit_s"] * 1e6 == assumed.video_bits_per_second
    assert asked["video_hours"] == assumed.video_hours_per_day == 0
    for name in (
        *("peak_factor", "retention_days", "queue_retention_days", "replication", "clip_s"),
        *("batch_max_messages", "batch_max_wait_s", "gpu_inferences_per_second"),
    ):
        assert asked[name] == getattr(assumed, name), name
    assert asked["network"] == assumed.model
    usual = Settings()
    assert assumed.batch_max_messages == usual.batch_max_messages
    assert assumed.batch_max_wait_s == usual.batch_max_wait_s
    assert assumed.video_sample_interval_s == default_model().frames.video_sample_interval_s
    assert assumed.kept_image_share == usual.prediction_image_sample_rate
    assert assumed.labelled_share == 0.01
    assert assumed.predictions_per_second == 0


def test_given_constants_are_those_of_what_gives_them() -> None:
    usual = Settings()
    assert m.GATEWAY_MAX_IN_FLIGHT.value == usual.gateway_max_in_flight
    assert m.BATCH_BYTES.value == usual.batch_max_bytes
    assert m.SENSOR_BATCHES.value == MAX_BATCHES_PER_TICK
    assert m.MONITORING_INTERVAL_S.value == usual.monitoring_interval_s
    deployed = (usual.project_root / "deploy" / "dagster.yaml").read_text()
    assert f"value: media, limit: {m.MAX_CONCURRENT_RUNS.value:g}}}\n" in deployed
    assert f"max_runtime_seconds: {m.MAX_RUN_S.value:g}\n" in deployed


@pytest.mark.parametrize(
    ("most", "name", "file"),
    [
        (m.INGEST_MAX_PODS, "maxReplicas", "base/services/ingest.yaml"),
        (m.GATEWAY_MAX_PODS, "maxReplicas", "base/services/gateway.yaml"),
        (m.TRITON_MAX_PODS, "maxReplicaCount", "overlays/production/triton_scaling.yaml"),
    ],
)
def test_scalers_reach_as_many_pods_as_is_said(most: m.Constant, name: str, file: str) -> None:
    manifest = (Settings().project_root / "deploy" / "kubernetes" / file).read_text()
    assert f"{name}: {most.value:g}\n" in manifest


@pytest.mark.parametrize("model", MODELS)
def test_scalers_allow_5000_predictions_per_second(model: str) -> None:
    demand = Demand(media_per_day=0, predictions_per_second=5_000, model=model)
    limits = [limit for limit in limits_of(demand) if limit.unit == "pods"]
    assert [limit.key for limit in limits if limit.is_exceeded] == []
    ten_times = limits_of(replace(demand, predictions_per_second=50_000))
    told = {limit.key: limit.remedy for limit in ten_times if limit.is_exceeded}
    assert "maxReplicaCount of the ScaledObject `triton`" in told["triton_gpu_pods"]


@pytest.mark.parametrize("name", MODELS)
def test_a_measured_model_is_what_its_name_says(name: str) -> None:
    network, _, frame_px = name.rpartition("-")
    assert MODELS[name].frame_px == int(frame_px)
    assert MODELS[name].embedding_size == build(network, 2).embedding_size


def changed(name: str, value: Any) -> Demand:
    return replace(Demand(media_per_day=1), **{name: value})


@pytest.mark.parametrize("name", ["peak_factor", "replication", "batch_max_messages"])
def test_one_is_the_least_of_what_must_be_at_least_one(name: str) -> None:
    assert getattr(changed(name, 1), name) == 1
    with pytest.raises(InvalidRequestError, match="must be at least 1"):
        changed(name, 0)


def test_a_share_of_one_is_all_and_more_is_refused() -> None:
    for name in ("labelled_share", "kept_image_share"):
        assert getattr(changed(name, 1), name) == 1
        with pytest.raises(InvalidRequestError, match="at most 1"):
            changed(name, 1.001)


def test_what_has_no_load_needs_no_pods_and_what_has_some_needs_two() -> None:
    idle = values(Demand(media_per_day=1))
    assert (idle["gateway"], idle["triton_cpu"], idle["triton_gpu"]) == (0, 0, 0)
    assert idle["ingest"] == 2, "one may fail"
    busy = values(Demand(media_per_day=1, predictions_per_second=0.001))
    assert (busy["gateway"], busy["triton_cpu"], busy["triton_gpu"]) == (2, 2, 2)


def test_the_limit_that_is_nearest_comes_first() -> None:
    parts = [limit.load / limit.limit for limit in limits_of(LARGE)]
    assert parts == sorted(parts, reverse=True)
    assert parts[0] > parts[-1]


@pytest.mark.parametrize(("load", "is_exceeded"), [(9.9, False), (10.0, False), (10.1, True)])
def test_a_limit_that_is_just_reached_is_not_exceeded(load: float, is_exceeded: bool) -> None:
    limit = Limit("k", "name", load, 10.0, "/s", Basis.GIVEN, "Raise it.")
    assert limit.is_exceeded == is_exceeded


def test_frames_of_a_video_are_one_per_interval() -> None:
    demand = Demand(media_per_day=10, video_hours_per_day=1, video_sample_interval_s=4, clip_s=90)
    assert demand.frames_per_day == 10 + 3_600 / 4
    assert demand.files_per_day == 10 + 40
    assert demand.video_bytes_per_day == 3_600 * 2e6 / 8


def test_values_at_the_edge_of_what_can_be_are_taken() -> None:
    least = Demand(media_per_day=0, peak_factor=1, replication=1, batch_max_messages=1)
    assert all(cost.share == 0 for cost in costs_of(least) if cost.usd_per_month == 0)
    assert replace(least, kept_image_share=1.0, labelled_share=1.0).labelled_share == 1
