"""One request of a batch: its images, its wishes, and an answer that no other one depends on."""

import json
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import triton_python_backend_utils as pb_utils

from visionops_assets.contracts.tensors import IMAGE
from visionops_assets.errors import InvalidRequestError, MediaError, VisionOpsError

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Wishes:
    """The parameters of a request that are ours.

    `record` says whether its predictions are recorded, `keep_image` whether with their images, and
    `source` which camera, partner or user they are of: filters may hold for some sources alone.
    """

    record: bool = True
    keep_image: bool = False
    source: str = ""


_KINDS = {bool: ("boolean", "bool_param"), str: ("text", "string_param")}


def images_of(request: Any) -> list[bytes]:
    """Return the encoded images of a request."""
    return list(pb_utils.get_input_tensor_by_name(request, IMAGE.name).as_numpy().reshape(-1))


def wishes_of(request: Any) -> Wishes:
    """Read the parameters of a request; those that are not ours are passed over.

    Raises:
        InvalidRequestError: one of ours is of another type. "false" in text would be taken as true.
    """
    text = request.parameters()
    said = json.loads(text) if text else {}
    ours = {name: said[name] for name in Wishes.__dataclass_fields__ if name in said}
    for name, value in ours.items():
        expected = type(getattr(Wishes(), name))
        if type(value) is not expected:
            kind, sent_as = _KINDS[expected]
            raise InvalidRequestError(
                f"The parameter {name} is no {kind}. Send it as one (`{sent_as}`), or not at all."
            )
    return Wishes(**ours)


def alone(respond: Callable[..., _Result], *arguments: Any) -> _Result | Any:
    """Return the result for one request; whatever is raised becomes the response to it.

    An error that left `execute` would be the answer to all requests of the batch.
    """
    try:
        return respond(*arguments)
    except (MediaError, InvalidRequestError) as error:
        return _refusal(f"{error.code}: {error}", pb_utils.TritonError.INVALID_ARG)
    except Exception:
        traceback.print_exc()  # Triton keeps it in its log.
        message = f"{VisionOpsError.code}: the request could not be answered. See Triton's log."
        return _refusal(message, pb_utils.TritonError.INTERNAL)


def _refusal(message: str, status: int) -> Any:
    """Return the response that says why; it begins with the code of the error."""
    return pb_utils.InferenceResponse(
        output_tensors=[], error=pb_utils.TritonError(message, status)
    )
