import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.engine import make_url

from visionops_assets.settings import load_external_settings, load_settings
from visionops_assets.stack import environment
from visionops_assets.stack.environment import plan_environment, read_env_file, write_env_file
from visionops_assets.stack.ports import DEFAULT_PORTS

PRINTABLE = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=40)


@pytest.fixture
def env_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(environment, "choose_ports", lambda kept: {**DEFAULT_PORTS, **kept})
    return tmp_path / "stack.env"


@given(
    values=st.dictionaries(st.from_regex(r"[A-Z_]{1,20}", fullmatch=True), PRINTABLE, max_size=5)
)
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, values: dict[str, str]
) -> None:
    path = tmp_path_factory.mktemp("home") / "stack.env"
    write_env_file(path, values)
    assert read_env_file(path) == values


def test_only_the_owner_can_read_the_file(env_file: Path) -> None:
    env_file.touch(mode=0o644)
    plan_environment(env_file, frozenset())
    assert stat.S_IMODE(env_file.stat().st_mode) == 0o600


def test_ports_and_credentials_are_kept(env_file: Path) -> None:
    plan_environment(env_file, frozenset())
    first = read_env_file(env_file)
    first["VISIONOPS_STACK_PORT_KAFKA"] = "23456"
    write_env_file(env_file, first)
    ports = plan_environment(env_file, frozenset())
    second = read_env_file(env_file)
    assert ports["kafka"] == 23_456
    assert second["VISIONOPS_KAFKA_BOOTSTRAP_SERVERS"] == "127.0.0.1:23456"
    for name in (
        "S3_SECRET_ACCESS_KEY",
        "STACK_POSTGRES_PASSWORD",
        "TRITON_ADMIN_KEY",
        "ALERTS_KEY",
    ):
        assert second[f"VISIONOPS_{name}"] == first[f"VISIONOPS_{name}"]


def test_no_url_names_the_superuser(env_file: Path) -> None:
    plan_environment(env_file, frozenset())
    written = read_env_file(env_file)
    urls = [
        make_url(written[f"VISIONOPS_{name}"]) for name in ("POSTGRES_URL", "DAGSTER_POSTGRES_URL")
    ]
    assert {url.username for url in urls} == {"visionops"}
    assert {url.password for url in urls} == {written["VISIONOPS_STACK_POSTGRES_PASSWORD"]}


def test_two_stacks_have_different_credentials(env_file: Path, tmp_path: Path) -> None:
    plan_environment(env_file, frozenset())
    plan_environment(tmp_path / "other.env", frozenset())
    key = "VISIONOPS_S3_SECRET_ACCESS_KEY"
    assert read_env_file(env_file)[key] != read_env_file(tmp_path / "other.env")[key]


@pytest.mark.parametrize(
    ("external", "absent"),
    [
        ("kafka_bootstrap_servers", ["KAFKA_BOOTSTRAP_SERVERS", "KAFKA_IDEMPOTENT_PRODUCER"]),
        ("s3_endpoint_url", ["S3_ENDPOINT_URL", "S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY"]),
        ("triton_grpc_address", ["TRITON_GRPC_ADDRESS", "TRITON_HTTP_URL", "TRITON_ADMIN_KEY"]),
        ("gateway_url", ["GATEWAY_URL", "GATEWAY_GRPC_ADDRESS"]),
        ("alerts_url", ["ALERTS_URL", "ALERTS_KEY"]),
    ],
)
def test_a_given_address_brings_its_own_settings(
    env_file: Path, external: str, absent: list[str]
) -> None:
    plan_environment(env_file, frozenset({external}))
    written = read_env_file(env_file)
    assert not written.keys() & {f"VISIONOPS_{name}" for name in absent}
    assert "VISIONOPS_POSTGRES_URL" in written


def test_settings_are_read_from_the_file(env_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISIONOPS_HOME", str(env_file.parent))
    plan_environment(env_file, frozenset())
    load_settings.cache_clear()
    try:
        settings = load_settings()
    finally:
        load_settings.cache_clear()
    assert settings.kafka_idempotent_producer is False
    assert settings.dagster_postgres_url.get_secret_value().startswith("postgresql+psycopg2://")
    assert settings.s3_secret_access_key is not None
    assert "s3_secret_access_key" not in load_external_settings().model_fields_set
