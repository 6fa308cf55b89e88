"""Messages of KServe's protocol: what is read of a request, and what an answer holds."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.grpc import (
    InferInput,
    InferRequestedOutput,
    InferResult,
    model_config_pb2,
    service_pb2,
)
from tritonclient.grpc._utils import _get_inference_request

from tests.services.gateway_fakes import inference
from visionops_assets.errors import InvalidRequestError, ServerUnreachableError
from visionops_assets.releasing.pipeline import MAX_BATCH_SIZE
from visionops_assets.services.gateway import kserve
from visionops_assets.services.gateway.kserve import MAX_IMAGES, read_infer, write_infer

IMAGES = st.lists(st.binary(max_size=50), min_size=1, max_size=MAX_IMAGES)
ALL = ("LABEL", "PROBABILITIES", "EMBEDDING", "PREDICTION_ID", "MODEL_VERSION", "SNAPSHOT_ID")


def asked_for(images: list[bytes], outputs: tuple[str, ...] = (), **parameters: object) -> Any:
    """Return a request as tritonclient writes it."""
    tensor = InferInput("IMAGE", [len(images), 1], "BYTES")
    tensor.set_data_from_numpy(np.array([[image] for image in images], dtype=np.object_))
    wanted = [InferRequestedOutput(name) for name in outputs]
    given = {"outputs": wanted, "parameters": parameters or None, "request_id": "7"}
    arguments = {
        "model_name": "classifier",
        "inputs": [tensor],
        "model_version": "",
        "sequence_id": 0,
        "sequence_start": False,
        "sequence_end": False,
        "priority": 0,
        "timeout": None,
    }
    return _get_inference_request(**(arguments | given))


@given(IMAGES)
def test_a_request_of_tritonclient_is_read_as_it_was_meant(images: list[bytes]) -> None:
    read = read_infer(asked_for(images), "classification")
    assert read.images == tuple(images)
    assert (read.outputs, read.keep_image, read.timeout_s) == (ALL, False, None)


@given(IMAGES)
def test_typed_contents_are_read_as_raw_ones(images: list[bytes]) -> None:
    request = asked_for(images)
    del request.raw_input_contents[:]
    request.inputs[0].contents.bytes_contents.extend(images)
    assert read_infer(request, "classification").images == tuple(images)


@given(st.binary(max_size=200), st.integers(1, MAX_IMAGES))
def test_whatever_the_content_it_is_read_or_refused(content: bytes, count: int) -> None:
    request = asked_for([b"x"])
    request.inputs[0].shape[0] = count
    request.raw_input_contents[0] = content
    try:
        images = read_infer(request, "classification").images
    except InvalidRequestError:
        return
    assert len(images) == count
    assert sum(4 + len(image) for image in images) == len(content)


def test_millions_of_empty_images_are_not_looked_at() -> None:
    request = asked_for([b"x"])
    request.raw_input_contents[0] = bytes(32 * 1024**2)
    with pytest.raises(InvalidRequestError):
        read_infer(request, "classification")
    assert kserve._unpacked(bytes(8), 2) == (b"", b"")
    assert kserve._unpacked(bytes(8), 1) == ()


def test_outputs_and_wishes() -> None:
    asked = asked_for([b"x"], ("EMBEDDING", "LABEL"), keep_image=True)
    asked.parameters["timeout"].int64_param = 2_500_000
    asked.parameters["of_somebody_else"].string_param = "x"
    asked.outputs.add(name="LABEL")
    read = read_infer(asked, "classification")
    assert (read.outputs, read.keep_image, read.timeout_s) == (("EMBEDDING", "LABEL"), True, 2.5)


def parameter(of: Any, name: str, kind: str, value: object) -> None:
    setattr(of.parameters[name], kind, value)


SPOILED: dict[str, Callable[[Any], object]] = {
    "no input": lambda r: r.ClearField("inputs"),
    "two inputs": lambda r: r.inputs.add(name="IMAGE", datatype="BYTES", shape=[1, 1]),
    "another input": lambda r: setattr(r.inputs[0], "name", "PIXELS"),
    "another type": lambda r: setattr(r.inputs[0], "datatype", "UINT8"),
    "another shape": lambda r: r.inputs[0].shape.append(1),
    "two columns": lambda r: r.inputs[0].shape.__setitem__(1, 2),
    "no image": lambda r: r.inputs[0].shape.__setitem__(0, 0),
    "fewer than none": lambda r: r.inputs[0].shape.__setitem__(0, -1),
    "too many": lambda r: r.inputs[0].shape.__setitem__(0, MAX_IMAGES + 1),
    "fewer than said": lambda r: r.inputs[0].shape.__setitem__(0, 2),
    "two contents": lambda r: r.raw_input_contents.append(b""),
    "shared memory": lambda r: parameter(r.inputs[0], "shared_memory_region", "string_param", "x"),
    "output of a kind": lambda r: parameter(
        r.outputs.add(name="LABEL"), "classification", "int64_param", 1
    ),
    "no output": lambda r: r.outputs.add(name="ODDS"),
    "unrecorded": lambda r: parameter(r, "record", "bool_param", False),
    "text for a flag": lambda r: parameter(r, "keep_image", "string_param", "false"),
    "number for a source": lambda r: parameter(r, "source", "int64_param", 7),
    "text for a time": lambda r: parameter(r, "timeout", "string_param", "1"),
    "less than no time": lambda r: parameter(r, "timeout", "int64_param", -1),
}


@pytest.mark.parametrize("change", SPOILED)
def test_what_cannot_be_answered_is_refused(change: str) -> None:
    request = asked_for([b"x"])
    SPOILED[change](request)
    with pytest.raises(InvalidRequestError):
        read_infer(request, "classification")


def test_the_limit_of_a_request_is_that_of_the_served_model() -> None:
    assert MAX_IMAGES == MAX_BATCH_SIZE


def test_the_gateway_chooses_the_version() -> None:
    kserve.check_version("")
    with pytest.raises(InvalidRequestError):
        kserve.check_version("3")


def test_an_answer_is_what_tritonclient_reads() -> None:
    rows = [inference("7", 3), inference("ü", 4)]
    request = asked_for([b"x", b"y"])
    answer = write_infer(request, ALL, rows, "classification")
    assert (answer.model_name, answer.model_version, answer.id) == ("classifier", "4", "7")
    result = InferResult(answer)
    assert [label.decode() for label in result.as_numpy("LABEL")[:, 0]] == ["7", "ü"]
    assert result.as_numpy("PROBABILITIES").tolist() == [[0.25, 0.5, 0.25]] * 2
    assert result.as_numpy("EMBEDDING").tolist() == [[0, 0]] * 2
    assert result.as_numpy("MODEL_VERSION").tolist() == [[3], [4]]
    ids = [text.decode() for text in result.as_numpy("PREDICTION_ID")[:, 0]]
    assert ids == [str(row.prediction_id) for row in rows]
    assert result.as_numpy("SNAPSHOT_ID").tolist() == [[b"snapshot-1"]] * 2


@given(st.lists(st.sampled_from(ALL), min_size=1, unique=True))
def test_an_answer_has_the_outputs_that_were_asked_for(outputs: list[str]) -> None:
    answer = write_infer(asked_for([b"x"]), outputs, [inference()], "classification")
    assert [output.name for output in answer.outputs] == outputs
    assert len(answer.raw_output_contents) == len(outputs)


def test_versions_of_other_classes_are_not_one_tensor() -> None:
    other = inference(version=4)
    other = replace(other, tensors={**other.tensors, "PROBABILITIES": bytes(8)})
    rows = [inference(), other]
    with pytest.raises(ServerUnreachableError, match="Ask again"):
        write_infer(asked_for([b"x"] * 2), ("PROBABILITIES",), rows, "classification")
    answer = write_infer(asked_for([b"x"] * 2), ("LABEL", "MODEL_VERSION"), rows, "classification")
    assert InferResult(answer).as_numpy("MODEL_VERSION").tolist() == [[3], [4]]


def test_of_a_configuration_clients_get_tensors_and_classes() -> None:
    config = model_config_pb2.ModelConfig(name="classifier", max_batch_size=32, backend="python")
    config.input.add(name="IMAGE")
    config.output.add(name="LABEL")
    config.parameters["classes"].string_value = '["a"]'
    config.parameters["version"].string_value = "3"
    config.instance_group.add(count=4)
    public = kserve.public_config(service_pb2.ModelConfigResponse(config=config)).config
    assert {field.name for field, _ in public.ListFields()} == {
        *("name", "max_batch_size", "input", "output", "parameters"),
    }
    assert dict(public.parameters).keys() == {"classes"}


def test_a_message_of_another_kind_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="ModelInferRequest"):
        kserve.parsed(service_pb2.ModelInferRequest, b"\xff\xff")
