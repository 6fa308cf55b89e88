"""Where settings come from, which wins, and what a wrong one says."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

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
    assert settings.kafka_media_topic == "media"
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
    monkeypatch.setenv("VISIONOPS_BATCH_MAX_MESSAGES", "many")
    monkeypatch.setenv("VISIONOPS_UPLOAD_LEASE_S", "-1")
    with pytest.raises(SettingsError, match="VISIONOPS_BATCH_MAX_MESSAGES") as caught:
        load_settings()
    assert "VISIONOPS_UPLOAD_LEASE_S" in str(caught.value)


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
        ("VISIONOPS_TRAINING_EPOCHS", "training.steps"),
        ("VISIONOPS_TRAINING_STEPS", "training.steps of the model's defs.yaml"),
        ("VISIONOPS_MODEL_NAME", "name of the model's defs.yaml"),
        ("VISIONOPS_AUGMENT_FLIP", "training.augment.flip"),
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


def test_the_folder_of_models_is_found_from_anywhere(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(home)
    monkeypatch.setenv("VISIONOPS_MODELS", "mine")
    assert load_settings().models == home.resolve() / "mine"
    assert child_environment(load_settings())["VISIONOPS_MODELS"] == str(home.resolve() / "mine")


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
@pytest.mark.parametrize("proxies", ["*", "proxy", "10.0.0.1/8", "0.0.0.0/0", "10.0.0.1,::/0", ","])
def test_proxies_are_networks_and_never_everybody(
    monkeypatch: pytest.MonkeyPatch, proxies: str
) -> None:
    monkeypatch.setenv("VISIONOPS_TRUSTED_PROXIES", proxies)
    with pytest.raises(SettingsError, match="VISIONOPS_TRUSTED_PROXIES"):
        load_settings()
