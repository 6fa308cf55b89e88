"""Reads the environment over `<home>/stack.env`. Nothing else here reads the environment."""

import os
from functools import cache
from pathlib import Path
from typing import Literal, get_args

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import DotEnvSettingsSource, SettingsConfigDict

from visionops_assets.errors import SettingsError
from visionops_assets.settings.gone import GONE
from visionops_assets.settings.media import MediaSettings
from visionops_assets.settings.monitoring import MonitoringSettings
from visionops_assets.settings.paging import PagingSettings
from visionops_assets.settings.servers import ServerSettings
from visionops_assets.settings.serving import ServingSettings

STACK_ENV_FILE = "stack.env"
PACKAGED_MODELS = Path(__file__).resolve().parents[1] / "models"
DEFAULT_THAT_FOLLOWS = "default_factory_not_called"
"""Pydantic's error about a setting whose default follows from a wrong one."""


class Settings(
    ServerSettings,
    MediaSettings,
    ServingSettings,
    MonitoringSettings,
    PagingSettings,
):
    """Addresses, credentials and knobs. Immutable; obtained by `load_settings`."""

    model_config = SettingsConfigDict(env_prefix="VISIONOPS_", extra="ignore", frozen=True)

    home: Path = Field(Path(".visionops"), description="Where the local stack keeps its state.")
    project_root: Path = Field(
        Path(__file__).resolve().parents[2],
        description="Folder that holds triton_models/ and deploy/.",
    )
    models: Path = Field(
        PACKAGED_MODELS,
        description="Folder of the declared models: a file <folder>/NAME/defs.yaml for each. "
        "Default: the one that comes with VisionOps, with the model `classifier`.",
    )
    executor: Literal["in_process", "multiprocess", "k8s"] = Field(
        "in_process",
        description="Dagster executor: a process per run, a process per step, or a pod per step.",
    )
    k8s_steps_file: Path | None = Field(
        None,
        description="YAML file that configures the executor `k8s`: what the pods of steps have "
        "beyond their run's, of all (`step_k8s_config`) and by the step's name "
        "(`per_step_k8s_config`).",
    )
    k8s_trainer_image: str = Field(
        "",
        description="Image of the steps that need a GPU. In that file, "
        "`$(VISIONOPS_K8S_TRAINER_IMAGE)` stands for it.",
    )
    crash_points_dir: Path | None = Field(
        None, description="For tests: a file here with the name of a crash point arms it, once."
    )

    @field_validator("models")
    @classmethod
    def _is_absolute(cls, folder: Path) -> Path:
        """Child processes work in other folders."""
        return folder.expanduser().resolve()


def settings_home() -> Path:
    """Return the state folder, before any settings are loaded (it says where stack.env is)."""
    return Path(os.environ.get("VISIONOPS_HOME", ".visionops")).resolve()


def _refuse_gone(env_file: Path | None) -> None:
    of_file = DotEnvSettingsSource(Settings, env_file).env_vars if env_file else {}
    given = {name.upper() for name in (*os.environ, *of_file)}
    gone = [f"{name} is gone: {where}" for name, where in GONE.items() if name in given]
    if gone:
        raise SettingsError(f"Unusable settings. {' '.join(gone)}")


def _load(env_file: Path | None) -> Settings:
    _refuse_gone(env_file)
    try:
        return Settings(_env_file=env_file, home=settings_home())
    except ValidationError as error:
        problems = "; ".join(
            f"VISIONOPS_{'_'.join(map(str, e['loc'])).upper()}: {e['msg']}"
            for e in error.errors()
            if e["type"] != DEFAULT_THAT_FOLLOWS
        )
        raise SettingsError(f"Unusable settings. {problems}") from None


@cache
def load_settings() -> Settings:
    """Read the environment over `<home>/stack.env`, once per process.

    Raises:
        SettingsError: a variable has a value that cannot be used, or is no longer known.
    """
    return _load(settings_home() / STACK_ENV_FILE)


def load_external_settings() -> Settings:
    """Read the environment alone. `model_fields_set` names the servers not to start."""
    return _load(None)


def heartbeat_file(settings: Settings, service: str) -> Path:
    """Return the file that a service without a port touches at each turn of its loop."""
    return settings.home / "run" / f"{service}.alive"


def mlflow_page(settings: Settings, path: str) -> str:
    """Return the address of a page of MLflow, in its view for trained models."""
    # Without the view, MLflow opens its pages for language models.
    return f"{settings.mlflow_tracking_uri.rstrip('/')}/#{path}?workflowType=machine_learning"


def triton_repository(settings: Settings) -> Path:
    """Return the folder that this machine's Triton loads its models from when it starts."""
    return (settings.triton_models_dir or settings.home / "triton") / "repository"


def child_environment(settings: Settings) -> dict[str, str]:
    """Return this process's environment with every setting that is not secret.

    A child process gets the secrets it needs by `secret_environment`.
    """
    secrets = {f"VISIONOPS_{field.upper()}" for field in secret_fields()}
    env = {name: value for name, value in os.environ.items() if name.upper() not in secrets}
    for field in Settings.model_fields.keys() - secret_fields():
        value = getattr(settings, field)
        if value is not None:
            env[f"VISIONOPS_{field.upper()}"] = str(value)
    return env


def secret_environment(settings: Settings, *fields: str) -> dict[str, str]:
    """Return those of these secret settings that are set, as environment variables.

    Holds credentials in clear text: pass it on, never print it.
    """
    values = {field: getattr(settings, field) for field in fields}
    return {
        f"VISIONOPS_{field.upper()}": value.get_secret_value()
        for field, value in values.items()
        if value is not None
    }


def let_waiting_threads_sleep() -> None:
    """Let threads of OpenMP sleep instead of spin while they wait. Call it before PyTorch's import.

    Where other processes share the cores, a spinning thread keeps the one that it waits for from
    running: a training step on two busy cores took ten times as long.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def secret_fields() -> frozenset[str]:
    """Name the settings that are secret: those of type `SecretStr`."""
    fields = Settings.model_fields.items()
    return frozenset(
        name
        for name, field in fields
        if SecretStr in (field.annotation, *get_args(field.annotation))
    )
