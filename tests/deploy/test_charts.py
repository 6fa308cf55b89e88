"""The values of charts, and Grafana's provisioning: they name what is there, and what is ours."""

from typing import Any

import pytest
import yaml

from tests.deploy.manifests import KUBERNETES, OVERLAYS, of_kind
from tests.deploy.monitoring import MONITORING

HELM = KUBERNETES / "helm"
CHARTS = {"cloudnative-pg", "kube-prometheus-stack", "oauth2-proxy", "strimzi-kafka-operator"}
MORE_VALUES = {"alertmanager"}
"""Values of one of them that are built."""
NAMESPACE = "visionops"


def values(chart: str) -> Any:
    return yaml.safe_load((HELM / f"{chart}.yaml").read_text())


def service_of(address: str) -> tuple[str, int]:
    """Return the Service and the port of an address within the cluster."""
    host, _, port = address.removeprefix("http://").partition("/")[0].partition(":")
    name, _, namespace = host.partition(".")
    assert namespace == NAMESPACE
    return name, int(port)


def test_every_chart_has_its_test_here() -> None:
    assert {file.stem for file in HELM.iterdir()} == CHARTS | MORE_VALUES
    assert of_kind("production", "Namespace").keys() == {NAMESPACE}


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize("chart", ["kube-prometheus-stack", "oauth2-proxy"])
def test_charts_send_to_services_that_are_there(overlay: str, chart: str) -> None:
    addresses = {
        "kube-prometheus-stack": [
            hook["url"]
            for receiver in values("alertmanager")["alertmanager"]["config"]["receivers"]
            for hook in receiver.get("webhook_configs", [])
        ],
        "oauth2-proxy": [
            line.split('"')[1]
            for line in values("oauth2-proxy")["config"]["configFile"].splitlines()
            if line.startswith("upstreams")
        ],
    }[chart]
    assert addresses
    for name, port in map(service_of, addresses):
        service = of_kind(overlay, "Service")[name]
        assert port in {each["port"] for each in service["spec"]["ports"]}


def test_alerts_go_to_us_with_our_key_and_nowhere_else() -> None:
    manager = values("kube-prometheus-stack")["alertmanager"]
    config = values("alertmanager")["alertmanager"]["config"]
    nobody, ours = config["receivers"]
    assert nobody == {"name": "null"}
    assert ours["name"] == config["route"]["receiver"]
    [hook] = ours["webhook_configs"]
    assert (hook["send_resolved"], hook["max_alerts"]) == (True, 0)
    assert hook["http_config"]["follow_redirects"] is False, "a redirect would get the key"
    folder, secret, key = hook["http_config"]["authorization"]["credentials_file"].rsplit("/", 2)
    assert (folder, key) == ("/etc/alertmanager/secrets", "key")
    assert [secret] == manager["alertmanagerSpec"]["secrets"]


def test_prometheus_takes_our_monitors_and_rules_and_grafana_our_dashboards() -> None:
    """By default a chart's Prometheus takes only what the chart itself brought."""
    stack = values("kube-prometheus-stack")
    chosen = stack["prometheus"]["prometheusSpec"]
    assert chosen["serviceMonitorSelectorNilUsesHelmValues"] is False
    assert chosen["podMonitorSelectorNilUsesHelmValues"] is False
    assert chosen["ruleSelectorNilUsesHelmValues"] is False
    sidecar = stack["grafana"]["sidecar"]["dashboards"]
    # Ours, and the chart's own in the namespace of the chart.
    assert sidecar["searchNamespace"] == "ALL"
    labels = of_kind("production", "ConfigMap")["dashboards"]["metadata"]["labels"]
    assert labels[sidecar["label"]] == "1"


def test_the_login_stands_before_dagster_with_a_cookie_for_https_alone() -> None:
    settings = values("oauth2-proxy")["config"]["configFile"].splitlines()
    assert "cookie_secure = true" in settings
    [domains] = [line for line in settings if line.startswith("email_domains")]
    assert "*" not in domains, "everybody with an account anywhere"


def test_operators_watch_our_namespace_and_keep_its_policies() -> None:
    assert values("cloudnative-pg")["config"]["data"]["WATCH_NAMESPACE"] == NAMESPACE
    strimzi = values("strimzi-kafka-operator")
    assert strimzi["watchNamespaces"] == [NAMESPACE]
    assert strimzi["generateNetworkPolicy"] is True
    assert {"name": "STRIMZI_POD_SECURITY_PROVIDER_CLASS", "value": "restricted"} in strimzi[
        "extraEnvs"
    ]


def test_grafana_is_given_one_source_and_boards_that_nobody_edits_in_place() -> None:
    folder = MONITORING / "provisioning"
    [source] = yaml.safe_load((folder / "datasources.yml").read_text())["datasources"]
    assert (source["type"], source["isDefault"]) == ("prometheus", True)
    assert source["access"] == "proxy", "browsers do not reach Prometheus"
    [boards] = yaml.safe_load((folder / "dashboards.yml").read_text())["providers"]
    assert (boards["type"], boards["allowUiUpdates"]) == ("file", False)
    for file, value in (("datasources", source["url"]), ("dashboards", boards["options"]["path"])):
        assert value.startswith("${"), f"{file}.yml: the address is the machine's own"
