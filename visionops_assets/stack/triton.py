"""Triton Inference Server, in a virtual environment of its own."""

import os
import shutil
import sys
import sysconfig
from pathlib import Path

from visionops_assets.errors import StackError
from visionops_assets.models import load_models
from visionops_assets.roster import ours
from visionops_assets.settings import Settings, secret_environment, triton_repository
from visionops_assets.stack.plan import Plan
from visionops_assets.stack.probes import accepts_connections, answers_http, host_and_port
from visionops_assets.stack.server import Probe, Server
from visionops_assets.stack.shared_memory import remove_shared_memory, shared_memory_prefix

NAME = "triton"
KEYED_BY_GRPC = ("shared-memory", "model-repository", "statistics", "trace", "logging")
"""Protocols that need the admin key: all except inference, health and metadata.

A model's configuration can only be read, and needs no key: the gateway, which must not hold that
key, reads the names of the classes there.
"""
KEYED_BY_HTTP = ("metadata", "inference", "model-config", *KEYED_BY_GRPC)
"""Any web page can send requests to HTTP, and clients use gRPC: only health stays open."""


def triton(plan: Plan) -> Server:
    """Describe the server. It loads what the keeper laid out; changes need the admin key."""
    settings = plan.settings
    address = settings.triton_grpc_address
    if plan.is_external("triton_grpc_address"):
        return Server(name=NAME, address=address, probe=accepts_connections(address))
    packages = site_packages(settings.triton_environment)
    backends = plan.home / "triton" / "backends"
    return Server(
        name=NAME,
        address=address,
        command=(
            str(packages / "pytriton" / "tritonserver" / "bin" / "tritonserver"),
            *_options(settings, backends, shared_memory_prefix(plan.home)),
        ),
        # Models record their answers in the queue.
        env=_environment(plan, packages) | secret_environment(settings, "kafka_password"),
        needs=(ours.KEEPER.name,),
        prepare=lambda: _prepare(plan, packages / "pytriton" / "tritonserver", backends),
        probe=_serves_its_champions(settings),
        # Not whether the champion is loaded: this is about a server that hangs.
        lives=answers_http(f"{settings.triton_http_url}/v2/health/live"),
        # While it loads a model it may be slow to answer.
        patience_s=90,
        stop_timeout_s=35,
    )


def _serves_its_champions(settings: Settings) -> Probe:
    """Say whether it is well, and has loaded each champion that was laid out for it."""
    is_well = answers_http(f"{settings.triton_http_url}/v2/health/ready")
    has_it = {
        triton_repository(settings) / model.name / "config.pbtxt": answers_http(
            f"{settings.triton_http_url}/v2/models/{model.name}/ready"
        )
        for model in load_models()
    }

    def probe(started_at_s: float) -> bool:
        laid_out = [is_loaded for champion, is_loaded in has_it.items() if champion.exists()]
        return is_well(started_at_s) and all(is_loaded(started_at_s) for is_loaded in laid_out)

    return probe


def site_packages(environment: Path) -> Path:
    """Return where the packages of Triton's environment are, for this version of Python."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    return environment / "lib" / version / "site-packages"


def _options(settings: Settings, backends: Path, shared_memory: str) -> tuple[str, ...]:
    http_host, http_port = host_and_port(settings.triton_http_url)
    grpc_host, grpc_port = host_and_port(settings.triton_grpc_address)
    metrics_host, metrics_port = host_and_port(settings.triton_metrics_url)
    key = settings.triton_admin_key.get_secret_value() if settings.triton_admin_key else ""
    return (
        f"--model-repository={triton_repository(settings)}",
        "--model-control-mode=explicit",
        # Released models answer again at once. A model that fails to load must not stop the
        # others, or its replacement.
        "--load-model=*",
        "--exit-on-error=false",
        "--strict-readiness=false",
        # Configurations are complete. To complete one, Triton would start the pipeline once more.
        "--disable-auto-complete-config",
        f"--backend-directory={backends}",
        f"--backend-config=python,shm-region-prefix-name={shared_memory}",
        # Triton takes its keys only from the command line.
        f"--grpc-restricted-protocol={','.join(KEYED_BY_GRPC)}:admin-key={key}",
        f"--http-restricted-api={','.join(KEYED_BY_HTTP)}:admin-key={key}",
        f"--http-address={http_host}",
        f"--http-port={http_port}",
        f"--grpc-address={grpc_host}",
        f"--grpc-port={grpc_port}",
        f"--metrics-address={metrics_host}",
        f"--metrics-port={metrics_port}",
        # Quantiles of latency, each with its allowed error.
        "--metrics-config=summary_latencies=true",
        "--metrics-config=summary_quantiles=0.5:0.02,0.95:0.005,0.99:0.001",
    )


def _environment(plan: Plan, packages: Path) -> dict[str, str]:
    """Make the Python backend find its interpreter: it follows PATH and the libraries."""
    environment = plan.settings.triton_environment
    libraries = (sysconfig.get_config_var("LIBDIR"), str(packages / "nvidia_pytriton.libs"))
    return {
        "PATH": os.pathsep.join((str(environment / "bin"), os.defpath)),
        "VIRTUAL_ENV": str(environment),
        "LD_LIBRARY_PATH": os.pathsep.join(libraries),
    }


def _prepare(plan: Plan, server: Path, backends: Path) -> None:
    """Lay out the backend's folder as Triton expects it, with the stub of this Python version."""
    if not server.is_dir():
        raise StackError(
            f"There is no Triton in {plan.settings.triton_environment}. Run `make install`, or set "
            "VISIONOPS_TRITON_ENVIRONMENT to a virtual environment that has nvidia-pytriton."
        )
    remove_shared_memory(plan.home)
    # An earlier version copied models there.
    shutil.rmtree(plan.home / "triton" / "copies", ignore_errors=True)
    python = backends / "python"
    shutil.rmtree(backends, ignore_errors=True)
    shutil.copytree(server / "backends" / "python", python)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    shutil.copy2(server / "python_backend_stubs" / version / "triton_python_backend_stub", python)
