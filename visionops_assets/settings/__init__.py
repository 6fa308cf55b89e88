"""Every environment variable of VisionOps, typed; one module per part of the product.

A variable is `VISIONOPS_` and the field's name. `visionops up` writes the addresses and generated
credentials of the servers it started to `<home>/stack.env`; a variable of the environment wins over
that file. A server whose address is set in the environment is not started.
"""

from visionops_assets.settings.loading import (
    PACKAGED_MODELS,
    STACK_ENV_FILE,
    Settings,
    child_environment,
    heartbeat_file,
    let_waiting_threads_sleep,
    load_external_settings,
    load_settings,
    mlflow_page,
    secret_environment,
    secret_fields,
    settings_home,
    triton_repository,
)
from visionops_assets.settings.machine import usable_cores
from visionops_assets.settings.queue import kafka_connection

__all__ = [
    "PACKAGED_MODELS",
    "STACK_ENV_FILE",
    "Settings",
    "child_environment",
    "heartbeat_file",
    "kafka_connection",
    "let_waiting_threads_sleep",
    "load_external_settings",
    "load_settings",
    "mlflow_page",
    "secret_environment",
    "secret_fields",
    "settings_home",
    "triton_repository",
    "usable_cores",
]
