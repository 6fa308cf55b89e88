"""Translates Triton's errors into ours: by gRPC status and, where that is not enough, by text."""

import re

from tritonclient.utils import InferenceServerException

from visionops_assets.errors import (
    DeadlineExceededError,
    MediaError,
    NoModelServedError,
    OverloadedError,
    ServerUnreachableError,
    VisionOpsError,
)
from visionops_assets.settings import load_settings

QUEUE_FULL = "Exceeds maximum queue size"
QUEUE_TIMEOUT = "Request timeout expired"
NOT_READY = "is not at ready state"
"""Triton says so of a version while it replaces another, or is replaced."""

_ENSEMBLE_PREFIX = re.compile(r"^in ensemble '[^']*', ")
_MEDIA_ERROR_TYPES: list[type[MediaError]] = [MediaError, *MediaError.__subclasses__()]
_MEDIA_ERRORS = {error.code: error for error in _MEDIA_ERROR_TYPES}


def to_visionops_error(
    error: InferenceServerException,
    model: str,
    refused: type[VisionOpsError] = VisionOpsError,
    *,
    address: str = "",
) -> VisionOpsError:
    """Translate Triton's error by its gRPC status; `refused` is the type where none fits better."""
    address = address or load_settings().triton_grpc_address
    message = _ENSEMBLE_PREFIX.sub("", str(error.message()).partition("\n")[0])
    match str(error.status()).removeprefix("StatusCode."):
        case "UNAVAILABLE":
            return _unavailable(message, model, address)
        case "CANCELLED":
            # Not by us: that would be no error of the call. A server that ends cancels what it has.
            return ServerUnreachableError(f"Triton at {address} ended before it answered.")
        case "NOT_FOUND":
            return NoModelServedError(
                f"Triton serves no {model!r}: `visionops models ls` says why. ({message})"
            )
        case "DEADLINE_EXCEEDED":
            return DeadlineExceededError(f"Triton at {address} did not answer in time. Try again.")
        case "INVALID_ARGUMENT" if refused is VisionOpsError:
            code, _, detail = message.partition(": ")
            return _MEDIA_ERRORS[code](detail) if code in _MEDIA_ERRORS else refused(message)
        case _:
            return refused(f"Triton refuses {model!r}: {message}")


def _unavailable(message: str, model: str, address: str) -> VisionOpsError:
    """Tell a server that is not there from one that is busy, or serves something else."""
    if NOT_READY in message:
        return NoModelServedError(f"Triton at {address} does not serve that version: {message}.")
    if QUEUE_FULL in message:
        return OverloadedError(f"Triton's queue for {model!r} is full. Come again in 1 s.")
    if QUEUE_TIMEOUT in message:
        return DeadlineExceededError(f"{model!r} was too busy to answer in time. Try again.")
    # gRPC puts the addresses that it tried before the system's word for it.
    reason = message.rpartition("Failed to connect to remote host: ")[2]
    return ServerUnreachableError(f"Triton at {address} does not answer: {reason}.")
