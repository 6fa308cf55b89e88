"""Manifests and code agree: variables, secrets, addresses, ports, modules, paths."""

import re
from importlib.util import find_spec
from ipaddress import ip_network
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml
from fastapi import FastAPI

from tests.deploy.manifests import (
    COMPONENT,
    KUBERNETES,
    OVERLAYS,
    Manifest,
    config_map,
    containers,
    matches,
    of_kind,
    pod,
    pod_labels,
    secret_references,
    workloads,
)
from visionops_assets.models import read_models
from visionops_assets.roster import ours
from visionops_assets.services.gateway.grpc_door import SERVICE
from visionops_assets.services.http.applications import application_of
from visionops_assets.settings import PACKAGED_MODELS, Settings, secret_fields
from visionops_assets.settings.servers import ServerSettings

PREFIX = "VISIONOPS_"
SERVICES = {service.name: service for service in ours.SERVICES if service.addresses}
PUBLIC = {name for name, service in SERVICES.items() if any(a.is_public for a in service.addresses)}
STORES = {"local": "http://seaweedfs:8333", "gke": "https://storage.googleapis.com"}
"""Those that are not Amazon's."""
OUTSIDE = {
    *("prometheus-operated.monitoring", "alertmanager-operated.monitoring"),
    "storage.googleapis.com",
}
PRODUCTION = ("staging", "production", "gke")
ADDRESS = re.compile(r".*_(url|uri|address|addresses|servers|host)")
BEYOND_BASE = {"kafka-kafka-bootstrap"}
"""Services that an operator makes of a custom object."""


def apps() -> dict[str, FastAPI]:
    """Build every HTTP service; nothing is connected before the first request."""
    settings = Settings()
    return {name: application_of(each.module, settings) for name, each in SERVICES.items()}


def paths_of(app: FastAPI) -> set[str]:
    """Return the paths of an application: those that it documents, and the others."""
    return {*app.openapi()["paths"], *(str(getattr(route, "path", "")) for route in app.routes)}


def ports_of(overlay: str, service: str) -> dict[str, int]:
    """Return the ports of a Service by their names."""
    return {p["name"]: p["port"] for p in of_kind(overlay, "Service")[service]["spec"]["ports"]}


def variables(container: Manifest) -> dict[str, str]:
    """Return the plain variables of a container; those of Secrets are empty."""
    return {variable["name"]: variable.get("value", "") for variable in container.get("env", [])}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_variable_is_a_setting(overlay: str) -> None:
    known = {PREFIX + field.upper() for field in Settings.model_fields}
    given = set(config_map(overlay, "visionops"))
    for workload in workloads(overlay).values():
        for container in pod(workload)["containers"]:
            given |= variables(container).keys()
    unknown = {name for name in given if name.startswith(PREFIX)} - known
    # A mistyped one would be let pass in silence.
    assert unknown == set()


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_settings_load(overlay: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in config_map(overlay, "visionops").items():
        monkeypatch.setenv(name, value)
    settings = Settings()
    assert settings.s3_bucket
    assert (settings.s3_endpoint_url or None) == STORES.get(overlay)
    assert settings.executor == ("in_process" if overlay == "local" else "k8s")
    assert settings.kafka_idempotent_producer


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_address_is_given(overlay: str) -> None:
    """One that is left out would be that of one machine, 127.0.0.1."""
    given = config_map(overlay, "visionops")
    addresses = {f for f in ServerSettings.model_fields if ADDRESS.fullmatch(f)} - secret_fields()
    assert {f for f in addresses if PREFIX + f.upper() not in given} == set()
    assert not [value for value in given.values() if "127.0.0.1" in value or "localhost" in value]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_addresses_are_those_of_services(overlay: str) -> None:
    services = of_kind(overlay, "Service")
    given = dict(config_map(overlay, "visionops"))
    given["VISIONOPS_DAGSTER_CODE_HOST"] += f":{given['VISIONOPS_DAGSTER_CODE_PORT']}"
    for name, value in given.items():
        if not (name.startswith(PREFIX) and ADDRESS.fullmatch(name.lower())) or not value:
            continue
        address = urlsplit(value if "://" in value else f"//{value}")
        if address.hostname in OUTSIDE | BEYOND_BASE:
            continue
        ports = [port["port"] for port in services[str(address.hostname)]["spec"]["ports"]]
        assert address.port in ports, name


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_client_has_its_own_address_where_there_is_an_edge_and_there_alone(overlay: str) -> None:
    """Behind proxies that nobody names all clients are one; named in vain, any pod is believed."""
    named = config_map(overlay, "visionops").get("VISIONOPS_TRUSTED_PROXIES", "")
    proxies = [ip_network(part) for part in named.split(",") if part]
    assert bool(proxies) is ("edge" in of_kind(overlay, "Gateway"))
    # A network of all pods, as clusters have them, is larger.
    assert all(proxy.is_private and proxy.prefixlen >= 22 for proxy in proxies)
    behind = of_kind(overlay, "HTTPRoute")
    for name in PUBLIC if proxies else ():
        assert name in behind
        [container] = pod(workloads(overlay)[name])["containers"]
        assert "VISIONOPS_TRUSTED_PROXIES" not in variables(container)
        assert {"configMapRef": {"name": "visionops"}} in container["envFrom"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_no_secret_is_a_setting_of_the_config_map(overlay: str) -> None:
    secret = {PREFIX + field.upper() for field in secret_fields()}
    assert secret.isdisjoint(config_map(overlay, "visionops"))


@pytest.mark.parametrize("overlay", PRODUCTION)
def test_secrets_are_fetched(overlay: str) -> None:
    fetched = {
        (secret["spec"]["target"]["name"], entry["secretKey"])
        for secret in of_kind(overlay, "ExternalSecret").values()
        for entry in secret["spec"]["data"]
    }
    # Strimzi's operator makes one of each user.
    made = {(user, "password") for user in of_kind(overlay, "KafkaUser")}
    taken = {
        (name, key)
        for workload in workloads(overlay).values()
        for name, key, optional in secret_references(pod(workload))
        if not optional
    }
    assert taken <= fetched | made
    stores = of_kind(overlay, "SecretStore")
    for secret in of_kind(overlay, "ExternalSecret").values():
        assert secret["spec"]["secretStoreRef"]["name"] in stores


def test_secrets_of_the_local_overlay_are_made_by_its_script() -> None:
    script = (KUBERNETES / "overlays" / "local" / "secrets.sh").read_text()
    made = set(re.findall(r"^([A-Z0-9_]+)=", script, re.MULTILINE)) | {"signing.key"}
    taken = {
        key
        for workload in workloads("local").values()
        for _, key, optional in secret_references(pod(workload))
        if not optional
    }
    assert taken <= made
    assert "postgresql+psycopg2://" in script, "Dagster's storage fails on psycopg 3"


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_listens_where_it_is_looked_for(name: str) -> None:
    workload = workloads("production")[name]
    [container] = pod(workload)["containers"]
    setting = f"{PREFIX}{name.upper()}_URL"
    listens = urlsplit(variables(container)[setting])
    # On 127.0.0.1 nobody but itself would reach it.
    assert listens.hostname == "0.0.0.0"
    assert listens.port == container["ports"][0]["containerPort"]
    known_as = urlsplit(config_map("production", "visionops")[setting])
    assert known_as.hostname == name
    assert known_as.port == ports_of("production", name)["http"] == listens.port


def test_the_gateway_listens_for_grpc_where_it_is_looked_for() -> None:
    [container] = pod(workloads("production")["gateway"])["containers"]
    setting = f"{PREFIX}GATEWAY_GRPC_ADDRESS"
    port = ports_of("production", "gateway")["grpc"]
    assert variables(container)[setting] == f"0.0.0.0:{port}"
    assert config_map("production", "visionops")[setting] == f"gateway:{port}"
    assert {each["name"]: each["containerPort"] for each in container["ports"]}["grpc"] == port


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_program_exists(overlay: str) -> None:
    for name, workload in workloads(overlay).items():
        [container] = pod(workload)["containers"]
        if "visionops/app" in container["image"] or "/app:" in container["image"]:
            arguments = container["args"]
            if arguments[0] == "-m":
                assert find_spec(arguments[1]) is not None, name
                if arguments[1].startswith("visionops_assets.services."):
                    assert arguments[1].rpartition(".")[2] == name.replace("-", "_")


def test_probes_ask_for_what_services_have() -> None:
    for name, app in apps().items():
        paths = paths_of(app)
        [container] = pod(workloads("production")[name])["containers"]
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            assert container[probe]["httpGet"]["path"] in paths, name
        # A server that cannot be reached is no reason to start this one again.
        assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
        if "/readyz" in paths:
            assert container["readinessProbe"]["httpGet"]["path"] == "/readyz", name


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_ports_are_those_of_their_containers(overlay: str) -> None:
    for name, service in of_kind(overlay, "Service").items():
        taken = [
            workload
            for workload in workloads(overlay).values()
            if matches({"matchLabels": service["spec"]["selector"]}, pod_labels(workload))
        ]
        assert len(taken) == 1, name
        [container] = pod(taken[0])["containers"]
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        for port in service["spec"]["ports"]:
            assert ports[port["targetPort"]] == port["port"], name


@pytest.mark.parametrize("overlay", PRODUCTION)
def test_routes_lead_to_services(overlay: str) -> None:
    """Every path of the public interfaces has its way in, and nothing else has."""
    public = apps()
    assert of_kind(overlay, "HTTPRoute").keys() == PUBLIC, "components/edge/routes.yaml"
    for name, route in of_kind(overlay, "HTTPRoute").items():
        [rule] = route["spec"]["rules"]
        [backend] = rule["backendRefs"]
        port = ports_of(overlay, backend["name"])["http"]
        assert (backend["name"], backend["port"]) == (name, port)
        prefixes = [match["path"]["value"] for match in rule["matches"]]
        paths = paths_of(public[name])
        # Of the one host of both, the bare address is that of the gateway's page.
        pages = {"/", "/page"} if name == "gateway" else set()
        outside = {path for path in paths if path.startswith("/v1/") or path in pages}
        for path in outside:
            assert any(path == p or path.startswith(p + "/") for p in prefixes), path
        for prefix in prefixes:
            assert any(path == prefix or path.startswith(prefix + "/") for path in outside)
        # As a prefix it would let in all.
        kinds = {match["path"]["value"]: match["path"]["type"] for match in rule["matches"]}
        assert kinds.get("/", "Exact") == "Exact"


@pytest.mark.parametrize("overlay", PRODUCTION)
def test_a_route_of_grpc_leads_to_the_gateways_protocol_and_nothing_else(overlay: str) -> None:
    [(name, route)] = of_kind(overlay, "GRPCRoute").items()
    [rule] = route["spec"]["rules"]
    assert rule["matches"] == [{"method": {"type": "Exact", "service": SERVICE}}]
    assert rule["backendRefs"] == [{"name": name, "port": ports_of(overlay, name)["grpc"]}]
    # Gateways refuse a GRPCRoute that has the host of an HTTPRoute on the same listener.
    hosts = {
        host
        for each in of_kind(overlay, "HTTPRoute").values()
        for host in each["spec"]["hostnames"]
    }
    [host] = route["spec"]["hostnames"]
    assert host not in hosts
    listeners = {
        listener["name"]: listener
        for listener in of_kind(overlay, "Gateway")["edge"]["spec"]["listeners"]
    }
    [parent] = route["spec"]["parentRefs"]
    listener = listeners[parent["sectionName"]]
    assert (listener["hostname"], listener["protocol"]) == (host, "HTTPS")
    assert listener["tls"] == listeners["api"]["tls"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_monitors_scrape_by_the_names_of_the_rules(overlay: str) -> None:
    """Rules tell servers by `job`, which is the label of the component."""
    scraped = set()
    for monitor in of_kind(overlay, "ServiceMonitor").values():
        assert monitor["spec"]["jobLabel"] == COMPONENT
        [endpoint] = monitor["spec"]["endpoints"]
        for service in of_kind(overlay, "Service").values():
            labels = service["metadata"].get("labels", {})
            if matches(monitor["spec"]["selector"], labels):
                assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
                scraped.add(labels[COMPONENT])
                # Else Prometheus would write over the label `job` of the exporter's own series.
                honours = endpoint.get("honorLabels", False)
                own = getattr(SERVICES.get(labels[COMPONENT]), "has_own_job_label", False)
                assert honours is own
    assert scraped == {*SERVICES, "triton"}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_declared_models_are_where_the_setting_says_in_every_deployment_and_run(
    overlay: str, tmp_path: Path
) -> None:
    for name, text in config_map(overlay, "visionops-models").items():
        (tmp_path / name).write_text(text)
    assert read_models(tmp_path) == read_models(PACKAGED_MODELS)
    where = config_map(overlay, "visionops")["VISIONOPS_MODELS"]
    mount = {"name": "declared", "mountPath": where, "readOnly": True}
    volume = {"name": "declared", "configMap": {"name": "visionops-models"}}
    for name, workload in of_kind(overlay, "Deployment").items():
        specification = pod(workload)
        reading = [one for one in containers(specification) if reads_settings(one)]
        assert all(mount in one["volumeMounts"] for one in reading), name
        assert not reading or volume in specification["volumes"], name
    run = yaml.safe_load(config_map(overlay, "dagster-instance")["dagster.yaml"])
    of_runs = run["run_launcher"]["config"]["run_k8s_config"]
    assert {"name": "declared", "mount_path": where, "read_only": True} in of_runs[
        "container_config"
    ]["volume_mounts"]
    volumes = of_runs["pod_spec_config"]["volumes"]
    assert {"name": "declared", "config_map": {"name": "visionops-models"}} in volumes


def reads_settings(container: Manifest) -> bool:
    """Say whether a container gets the settings of the installation."""
    maps = [given.get("configMapRef", {}).get("name") for given in container.get("envFrom", [])]
    return "visionops" in maps
