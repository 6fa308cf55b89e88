"""The gateway's requests to Triton, as its own messages. Pure."""

import struct
from functools import cache
from typing import Any

from tritonclient.grpc import service_pb2

from visionops_assets.contracts.tensors import EMBEDDING, IDENTITY, IMAGE
from visionops_assets.tasks.registry import serving

_LENGTH = struct.Struct("<I")


def infer_request(
    model: str,
    image: bytes,
    task: str,
    timeout_s: float,
    record: bool,
    keep_image: bool,
    source: str,
    with_embedding: bool,
) -> Any:
    """Return the request for the prediction of one encoded image by a model of a task."""
    request = service_pb2.ModelInferRequest()
    request.CopyFrom(_template(task))
    request.model_name = model
    # Triton drops requests that still wait when their time is over: the client is gone then.
    request.parameters["timeout"].int64_param = int(timeout_s * 1e6)
    if not record:
        request.parameters["record"].bool_param = False
    if keep_image:
        request.parameters["keep_image"].bool_param = True
    if source:
        request.parameters["source"].string_param = source
    if with_embedding:
        request.outputs.add(name=EMBEDDING.name)
    request.raw_input_contents.append(_LENGTH.pack(len(image)) + image)
    return request


@cache
def _template(task: str) -> Any:
    """Return the parts that are alike in all requests of a task."""
    request = service_pb2.ModelInferRequest()
    request.inputs.add(name=IMAGE.name, datatype=IMAGE.datatype, shape=[1, 1])
    for output in (*serving(task).answers, *IDENTITY):
        request.outputs.add(name=output.name)
    return request
