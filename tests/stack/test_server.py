import re

import pytest

from visionops_assets.errors import StackError
from visionops_assets.settings import Settings, child_environment, secret_fields
from visionops_assets.stack.plan import Plan
from visionops_assets.stack.ports import DEFAULT_PORTS
from visionops_assets.stack.probes import host_and_port
from visionops_assets.stack.server import Server, select
from visionops_assets.stack.servers import build_servers


def server(name: str, *needs: str) -> Server:
    return Server(name=name, address="", probe=lambda _started_at_s: True, needs=needs)


SERVERS = (server("store"), server("db"), server("broker", "store"), server("api", "db", "broker"))


def names(only: set[str]) -> list[str]:
    return [s.name for s in select(SERVERS, frozenset(only))]


def test_all_servers_are_selected_by_default() -> None:
    assert names(set()) == ["store", "db", "broker", "api"]


def test_a_server_brings_what_it_needs_in_start_order() -> None:
    assert names({"broker"}) == ["store", "broker"]
    assert names({"api"}) == ["store", "db", "broker", "api"]


def test_an_unknown_server_is_named() -> None:
    with pytest.raises(StackError, match="nosuch"):
        names({"nosuch"})


def test_every_server_starts_after_what_it_needs() -> None:
    started: set[str] = set()
    for built in build_servers(Plan(Settings(), DEFAULT_PORTS, frozenset())):
        assert started.issuperset(built.needs)
        started.add(built.name)


@pytest.mark.parametrize(
    ("fields", "replaced"),
    [
        ({"s3_endpoint_url"}, {"seaweedfs"}),
        ({"kafka_bootstrap_servers"}, {"tansu"}),
        ({"postgres_url"}, set()),
        ({"postgres_url", "dagster_postgres_url"}, {"postgresql"}),
        ({"mlflow_tracking_uri"}, {"mlflow"}),
        ({"triton_grpc_address"}, {"triton", "keeper"}),
        ({"ingest_url"}, {"ingest", "relay", "sweep"}),
        ({"gateway_url"}, {"gateway"}),
        ({"exporter_url"}, {"exporter"}),
        ({"alerts_url"}, {"alerts"}),
        ({"prometheus_url"}, {"prometheus"}),
        ({"alertmanager_url"}, {"alertmanager"}),
        ({"dagster_code_host"}, {"dagster-code", "releaser"}),
        ({"dagster_url"}, {"dagster-webserver", "dagster-daemon"}),
    ],
)
def test_a_given_address_replaces_its_server(fields: set[str], replaced: set[str]) -> None:
    servers = build_servers(Plan(Settings(), DEFAULT_PORTS, frozenset(fields)))
    assert {s.name for s in servers if s.is_external} == replaced


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (set(), "127.0.0.1:8084"),
        ({"gateway_url"}, ""),
        ({"gateway_url", "gateway_grpc_address"}, "127.0.0.1:8084"),
    ],
)
def test_a_gateway_of_elsewhere_has_the_address_of_grpc_that_is_given(
    given: set[str], shown: str
) -> None:
    servers = build_servers(Plan(Settings(), DEFAULT_PORTS, frozenset(given)))
    assert [s.grpc_address for s in servers if s.grpc_address or s.name == "gateway"] == [shown]


def test_no_secret_but_tritons_is_on_a_command_line() -> None:
    settings = Settings.model_validate(
        {
            "s3_access_key_id": "id-secret",
            "s3_secret_access_key": "key-secret",
            "postgres_url": "postgresql+psycopg://postgres:pw-secret@127.0.0.1:5432/visionops",
            "dagster_postgres_url": "postgresql+psycopg2://postgres:pw-secret@127.0.0.1:5432/dagster",
        }
    )
    for built in build_servers(Plan(settings, DEFAULT_PORTS, frozenset())):
        assert not [word for word in built.command if "-secret" in word]


def test_the_store_listens_on_chosen_ports_alone() -> None:
    ports = {name: 20_000 + number for number, name in enumerate(DEFAULT_PORTS)}
    store = build_servers(Plan(Settings(), ports, frozenset()))[0]
    given = {word.partition("=")[2] for word in store.command if ".port" in word}
    parts = ("s3", "master", "volume", "filer", "admin")
    expected = {str(ports[name]) for part in parts for name in (part, f"{part}_grpc")}
    # 0 turns off what would listen besides.
    assert given == expected | {"0"}


SECRETS = {
    "postgres_url": "postgresql+psycopg://u:catalog-secret@127.0.0.1:5432/visionops",
    "dagster_postgres_url": "postgresql+psycopg2://u:dagster-secret@127.0.0.1:5432/dagster",
    "s3_access_key_id": "id-secret",
    "s3_secret_access_key": "key-secret",
    "triton_admin_key": "admin-secret",
    "kafka_password": "queue-secret",
    "api_key": "client-secret",
    "alerts_key": "alerts-secret",
}
PAGERS = {
    "pager_slack_url": "https://chat.example/slack-secret",
    "pager_pagerduty_key": "duty-secret",
    "pager_webhook_url": "https://pager.example/hook-secret",
    "pager_email_password": "mail-secret",
}
"""Of Alertmanager alone, which reads them in its configuration."""
ERASURE = {"s3_erasure_access_key_id": "eraser-secret", "s3_erasure_secret_access_key": "e-secret"}
"""Of `visionops forget` alone: no server may remove versions."""


def test_the_secrets_are_all_here() -> None:
    assert secret_fields() == SECRETS.keys() | PAGERS.keys() | ERASURE.keys()


def test_a_service_whose_work_takes_long_is_given_more_time() -> None:
    plan = Plan(Settings(), DEFAULT_PORTS, frozenset())
    patience_s = {built.name: built.patience_s for built in build_servers(plan)}
    assert (patience_s["relay"], patience_s["sweep"]) == (120, 1_800)


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("seaweedfs", {"id-secret", "key-secret"}),
        ("postgresql", set()),
        ("tansu", {"id-secret", "key-secret"}),
        ("mlflow", {"dagster-secret", "id-secret", "key-secret"}),
        # It runs what models bring along: it records answers, and cannot reach the store.
        ("triton", {"queue-secret"}),
        ("keeper", {"catalog-secret", "id-secret", "key-secret"}),
        ("ingest", {"catalog-secret", "id-secret", "key-secret"}),
        ("relay", {"catalog-secret", "queue-secret"}),
        ("sweep", {"catalog-secret", "id-secret", "key-secret"}),
        ("camera", {"catalog-secret", "client-secret"}),
        ("gateway", {"catalog-secret"}),
        ("releaser", {"catalog-secret", "id-secret", "key-secret", "admin-secret"}),
        ("exporter", {"catalog-secret"}),
        ("alerts", {"catalog-secret", "alerts-secret"}),
        *[
            (f"dagster-{part}", set(re.findall(r"\w+-secret", str(SECRETS))))
            for part in ("code", "webserver", "daemon")
        ],
    ],
)
def test_a_server_knows_the_secrets_it_needs(
    monkeypatch: pytest.MonkeyPatch, name: str, known: set[str]
) -> None:
    for field, value in (SECRETS | PAGERS | ERASURE).items():
        monkeypatch.setenv(f"VISIONOPS_{field.upper()}", value)
    settings = Settings()
    servers = build_servers(Plan(settings, DEFAULT_PORTS, frozenset()))
    env = {**child_environment(settings), **next(s.env for s in servers if s.name == name)}
    assert set(re.findall(r"\w+-secret", str(env))) == known


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.0.0.1:9092", ("127.0.0.1", 9092)),
        ("a.example:9092,b.example:9093", ("a.example", 9092)),
        ("https://s3.amazonaws.com", ("s3.amazonaws.com", 443)),
        ("http://store/path", ("store", 80)),
        ("postgresql+psycopg://u:p@db/x", ("db", 5432)),
    ],
)
def test_addresses_are_split(address: str, expected: tuple[str, int]) -> None:
    assert host_and_port(address) == expected
