"""Where settings come from, which wins, and what a wrong one says."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from visionops_assets.contracts.preprocessing import BlurMask, Clahe, EveryNth
from visionops_assets.errors import SettingsError
from visionops_assets.settings import (
    STACK_ENV_FILE,
    child_environment,
    load_external_settings,
    load_settings,
    usable_cores,
)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name in [name for name in os.environ if name.startswith("VISIONOPS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("VISIONOPS_HOME", str(tmp_path))
    load_settings.cache_clear()
    yield tmp_path
    load_settings.cache_clear()


def test_environment_wins_over_the_stack_which_wins_over_defaults(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / STACK_ENV_FILE).write_text(
        "VISIONOPS_S3_BUCKET=of-the-stack\nVISIONOPS_KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:1\n"
    )
    monkeypatch.setenv("VISIONOPS_S3_BUCKET", "of-the-environment")
    settings = load_settings()
    assert settings.s3_bucket == "of-the-environment"
    assert settings.kafka_bootstrap_servers == "127.0.0.1:1"
    assert settings.model_name == "classifier"
    assert settings.home == home


def test_only_the_environment_makes_a_server_external(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / STACK_ENV_FILE).write_text("VISIONOPS_KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:1\n")
    assert "kafka_bootstrap_servers" not in load_external_settings().model_fields_set
    monkeypatch.setenv("VISIONOPS_KAFKA_BOOTSTRAP_SERVERS", "kafka.example:9092")
    assert "kafka_bootstrap_servers" in load_external_settings().model_fields_set


@pytest.mark.usefixtures("home")
def test_a_wrong_value_names_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISIONOPS_TRAINING_STEPS", "many")
    monkeypatch.setenv("VISIONOPS_HOLDOUT_PERCENT", "120")
    with pytest.raises(SettingsError, match="VISIONOPS_TRAINING_STEPS") as caught:
        load_settings()
    assert "VISIONOPS_HOLDOUT_PERCENT" in str(caught.value)


@pytest.mark.usefixtures("home")
def test_a_wrong_value_does_not_blame_what_follows_from_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISIONOPS_DECODE_MEMORY_BYTES", "much")
    with pytest.raises(SettingsError, match="VISIONOPS_DECODE_MEMORY_BYTES") as caught:
        load_settings()
    assert "VISIONOPS_MAX_IMAGE_PIXELS" not in str(caught.value)


@pytest.mark.parametrize("in_file", [True, False], ids=["stack.env", "environment"])
@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("VISIONOPS_TRAINING_EPOCHS", "VISIONOPS_TRAINING_STEPS"),
        ("VISIONOPS_SERVING_ENGINE", "VISIONOPS_ENGINE_GPUS"),
    ],
)
def test_a_setting_that_is_gone_says_where_it_went(
    home: Path, monkeypatch: pytest.MonkeyPatch, in_file: bool, name: str, instead: str
) -> None:
    if in_file:
        (home / STACK_ENV_FILE).write_text(f"{name}=12\n")
    else:
        monkeypatch.setenv(name, "12")
    with pytest.raises(SettingsError, match=rf"{name} is gone: .*{instead}"):
        load_settings()


@pytest.mark.usefixtures("home")
def test_an_unknown_network_is_refused_with_those_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("VISIONOPS_TRAINING_ARCHITECTURE", "resnet-huge")
    with pytest.raises(SettingsError, match=r"TRAINING_ARCHITECTURE.*resnet-tiny.*resnet-18"):
        load_settings()


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({"cpu.max": "150000 100000\n"}, 2),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "100000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 1),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({}, None),
    ],
)
def test_cores_are_those_that_the_container_may_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], limit: int | None
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert usable_cores(tmp_path) == (limit or 8)


@pytest.mark.usefixtures("home")
def test_secrets_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("S3_SECRET_ACCESS_KEY", "TRITON_ADMIN_KEY"):
        monkeypatch.setenv(f"VISIONOPS_{name}", "hunter2")
    monkeypatch.setenv("VISIONOPS_POSTGRES_URL", "postgresql+psycopg://u:hunter2@h/db")
    assert "hunter2" not in repr(load_settings())


@pytest.mark.usefixtures("home")
def test_the_spec_follows_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    before = load_settings().spec
    load_settings.cache_clear()
    monkeypatch.setenv("VISIONOPS_FRAME_SIZE_PX", "96")
    after = load_settings().spec
    assert (before.size_px, after.size_px) == (64, 96)
    assert before.spec_id != after.spec_id


@pytest.mark.usefixtures("home")
def test_filters_and_sampling_are_read_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    clahe = '{"name": "clahe", "clip": 3}'
    monkeypatch.setenv("VISIONOPS_FRAME_FILTERS", f'[{{"name": "blur", "left": 0.5}}, {clahe}]')
    monkeypatch.setenv("VISIONOPS_VIDEO_SAMPLING", '{"by": "every_nth", "n": 5}')
    monkeypatch.setenv("VISIONOPS_FRAME_JPEG_QUALITY", "90")
    monkeypatch.setenv("VISIONOPS_VIDEO_MAX_FRAMES", "7")
    spec = load_settings().spec
    assert spec.filters == (BlurMask(left=0.5), Clahe(clip=3))
    assert spec.video_sampling == EveryNth(n=5)
    assert (spec.jpeg_quality, spec.max_frames_per_video) == (90, 7)
    child = child_environment(load_settings())
    for name, value in child.items():
        monkeypatch.setenv(name, value)
    load_settings.cache_clear()
    assert load_settings().spec == spec


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("FRAME_FILTERS", "clahe", "JSON"),
        ("FRAME_FILTERS", '[{"name": "clahe", "clip": 99}]', "0.clahe.clip: .*40"),
        ("FRAME_FILTERS", '[{"name": "sepia"}]', "0: .*sepia"),
        ("FRAME_FILTERS", '[{"name": "clahe"}, {"name": "blur"}]', "region, blur"),
        ("VIDEO_SAMPLING", '{"by": "every_nth"}', "every_nth.n: .*required"),
    ],
)
def test_a_filter_that_cannot_be_is_refused_by_its_place(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv(f"VISIONOPS_{name}", value)
    with pytest.raises(SettingsError, match=f"VISIONOPS_{name}: .*{said}"):
        load_settings()


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("proxies", ["*", "proxy", "10.0.0.1/8", "0.0.0.0/0", "10.0.0.1,::/0", ","])
def test_proxies_are_networks_and_never_everybody(
    monkeypatch: pytest.MonkeyPatch, proxies: str
) -> None:
    monkeypatch.setenv("VISIONOPS_TRUSTED_PROXIES", proxies)
    with pytest.raises(SettingsError, match="VISIONOPS_TRUSTED_PROXIES"):
        load_settings()
