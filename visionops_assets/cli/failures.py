"""Errors of any library as one sentence for the user: no stack trace reaches one."""

import tempfile
import traceback

from visionops_assets.errors import ServerUnreachableError, VisionOpsError
from visionops_assets.redaction import redacted
from visionops_assets.settings import STACK_ENV_FILE, load_external_settings, settings_home
from visionops_assets.settings.servers import ServerSettings
from visionops_assets.stack.control import is_supervised

# Packages whose exceptions may come through, by the server that they speak to. Names are enough to
# recognise them: importing them all would take seconds.
_SERVERS = {
    "botocore": "The object store",
    "grpc": "Triton",
    "httpx": "A service",
    "kafka": "The queue",
    "mlflow": "MLflow",
    "obstore": "The object store",
    "psycopg": "PostgreSQL",
    "psycopg2": "PostgreSQL",
    "requests": "MLflow",
    "sqlalchemy": "PostgreSQL",
    "tritonclient": "Triton",
    "urllib3": "MLflow",
}


def sentence(error: Exception) -> str:
    """Say what was wrong and what to do about it, without a secret that the error may hold.

    A failure that nobody foresaw is a bug: its trace goes into a file, and the sentence names that.
    """
    return redacted(_sentence(error))


def _sentence(error: Exception) -> str:
    if isinstance(error, ServerUnreachableError):
        return advice() if _nothing_runs() else f"{error} {advice()}"
    if isinstance(error, VisionOpsError):
        return str(error)
    packages = [kind.__module__.partition(".")[0] for kind in type(error).__mro__]
    for package in packages:
        if package in _SERVERS:
            return f"{_SERVERS[package]} failed: {_first_line(error)} {advice()}"
    if isinstance(error, OSError):
        return _of_the_system(error)
    if "pydantic" in packages or "pydantic_core" in packages:
        return (
            f"Stored data cannot be read: {_first_line(error)} Was it written by another "
            "version of VisionOps, or by hand? Compare `visionops --version`."
        )
    return f"This is a bug: {_first_line(error)} Please report it with {_saved_trace(error)}."


def advice() -> str:
    """Say what to do when a server does not answer."""
    home = settings_home()
    if not (home / STACK_ENV_FILE).exists():
        return (
            f"There is no stack in {home}: start one by `visionops up`, or name the folder of "
            "yours by VISIONOPS_HOME."
        )
    if not is_supervised(home):
        return f"The stack in {home} is stopped: start it by `visionops up`."
    return "`visionops doctor` says which server does not answer, and what to do."


def _nothing_runs() -> bool:
    """Say whether all servers are those of a stack that is stopped, or that was never started."""
    is_elsewhere = load_external_settings().model_fields_set & ServerSettings.model_fields.keys()
    return not is_elsewhere and not is_supervised(settings_home())


def _of_the_system(error: OSError) -> str:
    match error:
        case FileNotFoundError(filename=str(name)):
            return f"There is no file or folder {name}."
        case PermissionError(filename=str(name)):
            return f"You have no permission for {name}. See who may: `ls -ld {name}`."
        case OSError(filename=str(name), strerror=str(reason)):
            return f"{name}: {reason}."
    return str(error) or type(error).__name__


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0].strip()}".rstrip(".: ") + "."


def _saved_trace(error: Exception) -> str:
    with tempfile.NamedTemporaryFile("w", prefix="visionops-", suffix=".log", delete=False) as file:
        file.write(redacted("".join(traceback.format_exception(error))))
    return file.name
