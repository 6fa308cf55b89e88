"""Builds the page of the gRPC interface from the configuration that a release gives Triton."""

from http import HTTPStatus

from google.protobuf import text_format  # type: ignore[import-untyped]
from tritonclient.grpc import model_config_pb2

from reference_pages.markdown import code, page, table
from visionops_assets.contracts import ModelCard, PreprocessingSpec
from visionops_assets.models import default_model
from visionops_assets.releasing.loading import CONFIG_FILE
from visionops_assets.releasing.pipeline import MAX_BATCH_SIZE, PipelineOptions, pipeline_files
from visionops_assets.services.gateway.calls import STATUS_CODES
from visionops_assets.services.gateway.grpc_door import CONNECTION_MINUTES, IDLE_MINUTES
from visionops_assets.services.gateway.grpc_methods import MESSAGE_OVERHEAD_BYTES
from visionops_assets.services.http.problems import STATUS_BY_CODE
from visionops_assets.settings import Settings

_CLASSES, _EMBEDDING_SIZE = 3, 64

_INTRODUCTION = f"""\
Triton serves the released model under the name that it is declared by, with the [KServe v2
protocol](https://docs.nvidia.com/deeplearning/triton-inference-server/user-guide/docs/customization_guide/inference_protocols.html),
over gRPC and HTTP, at the addresses that `visionops status` shows. A request has at most
{MAX_BATCH_SIZE} images, and N below is their number. Triton refuses more: a client sends them as
several requests. An output that is not asked for costs nothing. C is the number of classes, D the
size of the embedding."""

_MEANINGS = {
    "IMAGE": "Encoded images, such as the bytes of JPEG or PNG files.",
    "LABEL": "The class of the largest probability, as UTF-8.",
    "PROBABILITIES": "One per class, in the order of the model's parameter `classes`.",
    "EMBEDDING": "The vector before the last layer.",
    "PREDICTION_ID": "The UUID to label the prediction by.",
    "MODEL_VERSION": "The version that answered, as MLflow numbers it.",
    "SNAPSHOT_ID": "The dataset snapshot that the version was trained on.",
}

_PARAMETERS = [
    ["`record`", "boolean, `true`", "Whether the prediction is recorded for monitoring."],
    ["`keep_image`", "boolean, `false`", "Whether its image is kept, to be labelled later."],
]

_REFUSALS = """\
An image that cannot be used is refused with `INVALID_ARGUMENT`, and the message begins with the
code, as in `too_many_pixels: ...` (see [error codes](errors.md)). So is a parameter of another type
than boolean, such as `"false"` in text (`invalid_request: ...`). A full queue is refused with
`UNAVAILABLE`. Requests that were answered in one batch with a refused one are not touched by it."""

_FROM_OUTSIDE = f"""\
The gateway answers the same requests at `VISIONOPS_GATEWAY_GRPC_ADDRESS`, for clients that show an
API key with the scope `predict`: `authorization: Bearer KEY` or `x-api-key: KEY` in the metadata.
It has the methods `ModelInfer`, `ModelMetadata`, `ModelConfig` (tensors and classes alone),
`ModelReady` and `ServerMetadata`, and, without a key, `ServerLive` and `ServerReady`. All others,
streams too, are `UNIMPLEMENTED`. What differs from Triton:

- The images of a request are predicted one by one, each in its turn. Where one cannot be used, the
  message says which, and the request has no answer; images that were predicted before are recorded.
  While one version replaces another, the images of one request may be answered by both:
  `MODEL_VERSION` says which. If these have other classes, the request is refused with
  `UNAVAILABLE`.
- `model_version` is left empty: a release, or a canary, decides which version answers.
- `record` is refused: every prediction is recorded. Triton's `timeout` (microseconds) and the
  deadline of the call shorten `VISIONOPS_GATEWAY_DEADLINE_S`. Shared memory and
  `classification` are refused.
- A message has at most {MESSAGE_OVERHEAD_BYTES // 1024**2} MiB more than the largest image
  (`VISIONOPS_MAX_PREDICTED_IMAGE_BYTES`); a larger one ends with `RESOURCE_EXHAUSTED`.
- A connection ends after {CONNECTION_MINUTES} minutes, or {IDLE_MINUTES} without a call, when its
  calls are answered: clients make another by themselves, to a replica that may be new."""

_STATUSES_OF = "code in `visionops-code` and at the beginning of the message"


def build() -> str:
    """Return the page, a table per direction.

    Raises:
        KeyError: a tensor has no meaning here.
    """
    config = _config()
    headers = ["tensor", "type", "shape", "meaning"]
    return page(
        "gRPC",
        _INTRODUCTION,
        "## Inputs",
        table(headers, map(_row, config.input)),
        "## Outputs",
        table(headers, map(_row, config.output)),
        "## Parameters of a request",
        table(["parameter", "type, default", "meaning"], _PARAMETERS),
        "## Refusals",
        _REFUSALS,
        "## From outside a cluster",
        _FROM_OUTSIDE,
        table(["status", "of HTTP", _STATUSES_OF], _statuses()),
    )


def _statuses() -> list[list[str]]:
    """Return the gateway's statuses of gRPC, those of HTTP, and the codes of either."""
    rows: dict[tuple[str, HTTPStatus], list[str]] = {}
    for code_, http in STATUS_BY_CODE.items():
        status = STATUS_CODES[http].name
        rows.setdefault((status, http), []).append(code(code_))
    return [
        [code(status), str(http.value), ", ".join(codes)]
        for (status, http), codes in sorted(rows.items(), key=lambda row: row[0])
        if http != HTTPStatus.INTERNAL_SERVER_ERROR
    ]


def _config() -> model_config_pb2.ModelConfig:
    card = ModelCard(
        architecture="resnet-tiny",
        classes=tuple("abc"[:_CLASSES]),
        embedding_size=_EMBEDDING_SIZE,
        spec=PreprocessingSpec(),
        mean=(0, 0, 0),
        std=(1, 1, 1),
        snapshot_id="ds-1",
        seed=0,
    )
    settings = Settings.model_fields
    templates = settings["project_root"].default / "triton_models" / "classifier"
    options = PipelineOptions(instances=1, max_queue=1)
    files = pipeline_files(templates, default_model().name, 1, card, options)
    return text_format.Parse(files[CONFIG_FILE], model_config_pb2.ModelConfig())


def _row(tensor: model_config_pb2.ModelInput | model_config_pb2.ModelOutput) -> list[str]:
    names = {_CLASSES: "C", _EMBEDDING_SIZE: "D"}
    shape = ", ".join(["N", *(names.get(size, str(size)) for size in tensor.dims)])
    kind = model_config_pb2.DataType.Name(tensor.data_type).removeprefix("TYPE_")
    # Clients call text BYTES.
    kind = "BYTES" if kind == "STRING" else kind
    return [code(tensor.name), code(kind), f"({shape})", _MEANINGS[tensor.name]]
