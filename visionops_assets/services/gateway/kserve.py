"""Reads and writes the messages of KServe's v2 gRPC protocol as Triton does for the served model.

Pure: what a request asks for, and what its answer is. Not here: who may ask (`calls.py`,
`grpc_door.py`).
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from tritonclient.grpc import model_config_pb2, service_pb2

from visionops_assets.contracts.tensors import IMAGE
from visionops_assets.errors import InvalidRequestError, ServerUnreachableError
from visionops_assets.services.gateway.inferred import Inference
from visionops_assets.tasks.signature import served_outputs

MAX_IMAGES = 32
"""Per request, as Triton takes them."""
FLOATS, FLOAT_BYTES = "FP32", 4
_LENGTH = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that can be answered: encoded images, and names of outputs in their order.

    `timeout_s` is None if the request leaves it to the gateway.
    """

    images: tuple[bytes, ...]
    outputs: tuple[str, ...]
    keep_image: bool
    source: str
    timeout_s: float | None


def parsed(kind: Any, message: bytes) -> Any:
    """Parse a message of a kind.

    Raises:
        InvalidRequestError: it is no such message.
    """
    try:
        return kind.FromString(message)
    except DecodeError:
        raise InvalidRequestError(f"The message is no {kind.DESCRIPTOR.name}.") from None


def check_version(version: str) -> None:
    """Refuse a request about a version: the gateway chooses that.

    Raises:
        InvalidRequestError: a version is named.
    """
    if version:
        raise InvalidRequestError(
            "model_version: leave it empty. A release, or a canary, decides which version answers; "
            "the output MODEL_VERSION names it."
        )


def read_infer(request: Any, task: str) -> Asked:
    """Read a ModelInferRequest for a model of a task.

    Raises:
        InvalidRequestError: it is not what the model takes, or asks for what clients may not have.
    """
    parameters = request.parameters
    if "record" in parameters:
        raise InvalidRequestError("record: the gateway records every prediction. Leave it out.")
    timeout_us = _parameter(parameters, "timeout", "int64_param", 0)
    if timeout_us < 0:
        raise InvalidRequestError("timeout: microseconds, and not less than none.")
    return Asked(
        images=_read_images(request),
        outputs=_read_outputs(request.outputs, task),
        keep_image=_parameter(parameters, "keep_image", "bool_param", False),
        source=_parameter(parameters, "source", "string_param", ""),
        timeout_s=timeout_us / 1e6 or None,
    )


def _parameter(parameters: Any, name: str, kind: str, default: Any) -> Any:
    if name not in parameters:
        return default
    if parameters[name].WhichOneof("parameter_choice") != kind:
        raise InvalidRequestError(f"{name}: send it as {kind}, or not at all.")
    return getattr(parameters[name], kind)


def _read_outputs(asked: Any, task: str) -> tuple[str, ...]:
    names = tuple(output.name for output in served_outputs(task))
    for output in asked:
        if output.name not in names:
            raise InvalidRequestError(
                f"{output.name[:100]!r} is no output. There are: {', '.join(names)}."
            )
        _refuse_parameters(output)
    return tuple(dict.fromkeys(output.name for output in asked)) or names


def _read_images(request: Any) -> tuple[bytes, ...]:
    if len(request.inputs) != 1 or request.inputs[0].name != IMAGE.name:
        raise InvalidRequestError(f"The request needs one input, {IMAGE.name}.")
    [tensor] = request.inputs
    _refuse_parameters(tensor)
    shape = list(tensor.shape)
    if tensor.datatype != IMAGE.datatype or len(shape) != 2 or shape[1] != 1:  # noqa: PLR2004 - [n, 1]
        raise InvalidRequestError(
            f"{IMAGE.name}: it has the type {IMAGE.datatype} and the shape [n, 1]."
        )
    count = shape[0]
    if not 1 <= count <= MAX_IMAGES:
        raise InvalidRequestError(
            f"{IMAGE.name}: from 1 to {MAX_IMAGES} images. Send more as several requests."
        )
    if not request.raw_input_contents:
        images = tuple(tensor.contents.bytes_contents)
    elif len(request.raw_input_contents) == 1:
        images = _unpacked(request.raw_input_contents[0], count)
    else:
        raise InvalidRequestError("raw_input_contents: one, as there is one input.")
    if len(images) != count:
        raise InvalidRequestError(f"{IMAGE.name}: the content is not that of {count} images.")
    return images


def _refuse_parameters(tensor: Any) -> None:
    """Refuse Triton's extensions, such as shared memory: they would be ignored in silence."""
    for name in tensor.parameters:
        raise InvalidRequestError(f"{tensor.name}: the parameter {name[:100]!r} is not supported.")


def _unpacked(content: bytes, count: int) -> tuple[bytes, ...]:
    """Take a BYTES tensor apart; if it does not have just `count` elements, return no such tuple.

    No more elements than these are looked at: a hostile content may have millions.
    """
    images: list[bytes] = []
    start = 0
    while len(images) < count and start + _LENGTH.size <= len(content):
        (length,) = _LENGTH.unpack_from(content, start)
        start += _LENGTH.size
        images.append(content[start : start + length])
        start += length
    return tuple(images) if start == len(content) else ()


def write_infer(request: Any, outputs: Sequence[str], rows: Sequence[Inference], task: str) -> Any:
    """Write the ModelInferResponse of a task's model, with a row per image.

    While one version replaces another, rows may be of both: MODEL_VERSION says which.

    Raises:
        ServerUnreachableError: two versions answered, with different numbers of classes.
    """
    response = service_pb2.ModelInferResponse(
        model_name=request.model_name, model_version=str(rows[-1].model_version), id=request.id
    )
    datatypes = {output.name: output.datatype for output in served_outputs(task)}
    for name in outputs:
        datatype = datatypes[name]
        contents = [row.tensors[name] for row in rows]
        width = len(contents[0]) // FLOAT_BYTES if datatype == FLOATS else 1
        if datatype == FLOATS and len({len(content) for content in contents}) > 1:
            raise ServerUnreachableError(
                "The model was replaced by one with other classes meanwhile. Ask again.",
                public=True,
            )
        response.outputs.add(name=name, datatype=datatype, shape=[len(rows), width])
        response.raw_output_contents.append(b"".join(contents))
    return response


def public_config(config: Any) -> Any:
    """Return of a model's configuration what its clients need: tensors, and the classes' names."""
    given = config.config
    public = model_config_pb2.ModelConfig(name=given.name, max_batch_size=given.max_batch_size)
    public.input.extend(given.input)
    public.output.extend(given.output)
    public.parameters["classes"].CopyFrom(given.parameters["classes"])
    return service_pb2.ModelConfigResponse(config=public)
