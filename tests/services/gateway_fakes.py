"""Triton and the catalog as the gateway's unit tests play them, and the gateway between them."""

import asyncio
import struct
from collections.abc import Mapping
from typing import Any, cast
from uuid import uuid4

from tritonclient.grpc import model_config_pb2, service_pb2

from tests.declared import declaration
from tests.services.key_catalog import KeyCatalog
from tests.vision.corpus import picture, saved
from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.schema import AnnotationRow, Snapshot
from visionops_assets.errors import VisionOpsError
from visionops_assets.services.gateway.app import Gateway
from visionops_assets.services.gateway.inference import TritonChannel
from visionops_assets.services.gateway.inferred import Inference
from visionops_assets.settings import Settings
from visionops_assets.tasks.base import Answer

PNG = saved(picture(), "PNG")
CHAMPION, CANDIDATE, OTHER = "classifier", "classifier-candidate", "birds"


def inference(label: str = "7", version: int = 3) -> Inference:
    odds, prediction_id = (0.25, 0.5, 0.25), uuid4()
    tensors = {
        "LABEL": text(label),
        "PROBABILITIES": struct.pack("<3f", *odds),
        "EMBEDDING": bytes(8),
        "PREDICTION_ID": text(str(prediction_id)),
        "MODEL_VERSION": struct.pack("<q", version),
        "SNAPSHOT_ID": text("snapshot-1"),
    }
    answer = Answer((label,), odds, max(odds))
    return Inference(answer, ("1", "7", "9"), prediction_id, version, "snapshot-1", tensors)


def text(value: str) -> bytes:
    """Return a tensor of one text, as Triton sends it."""
    content = value.encode()
    return struct.pack("<I", len(content)) + content


class FakeTriton:
    """Answers for each model with what `outcomes` says: an inference, or an error."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, bytes, bool]] = []
        self.kept: list[bytes] = []
        self.sources: list[str] = []
        self.embeddings: list[bytes] = []
        self.timeouts_s: list[float] = []
        self.outcomes: dict[str, Inference | VisionOpsError] = {
            CHAMPION: inference(),
            CANDIDATE: inference("9", 4),
            OTHER: inference("1", 12),
        }
        self.by_image: Mapping[bytes, Inference | VisionOpsError] = {}
        self.error_of_check: VisionOpsError | None = None
        self.is_held: asyncio.Event | None = None

    async def check(self) -> None:
        if self.error_of_check is not None:
            raise self.error_of_check

    async def infer(
        self,
        model: str,
        image: bytes,
        timeout_s: float,
        *,
        task: str,
        record: bool = True,
        keep_image: bool = False,
        source: str = "",
        with_embedding: bool = False,
    ) -> Inference:
        assert task == "classification"
        self.asked.append((model, image, record))
        self.kept += [image] if keep_image else []
        self.sources.append(source)
        self.embeddings += [image] if with_embedding else []
        self.timeouts_s.append(timeout_s)
        if self.is_held is not None:
            await self.is_held.wait()
        outcome = self.by_image.get(image, self.outcomes[model])
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def describe(self, what: str, model: str, timeout_s: float) -> Any:
        outcome = self.outcomes[model]
        if isinstance(outcome, VisionOpsError):
            raise outcome
        if what == "ModelMetadata":
            return service_pb2.ModelMetadataResponse(name=model, versions=["3"])
        config = model_config_pb2.ModelConfig(name=model, max_batch_size=32, backend="python")
        config.parameters["classes"].string_value = '["1", "7", "9"]'
        config.parameters["secret"].string_value = "of the server"
        return service_pb2.ModelConfigResponse(config=config)

    @property
    def images(self) -> list[bytes]:
        return [image for _, image, _ in self.asked]


class FakeCatalog(KeyCatalog):
    """Holds keys, and the labels that were added."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[AnnotationRow] = []
        self.snapshots: dict[str, Snapshot] = {}

    def get(self, table: type[Any], key: str) -> Any:
        return self.snapshots.get(key) if table is Snapshot else super().get(table, key)

    def add(self, row: AnnotationRow) -> None:
        self.rows.append(row)

    def flush(self) -> None:
        self.rows[-1].annotation_id = len(self.rows)

    def scalar(self, query: object) -> bool | None:
        """Say that a prediction is known, and that nothing asks for it."""
        return str(query).startswith("SELECT EXISTS") or None


def gateway_of(triton: FakeTriton, catalog: FakeCatalog, **settings: Any) -> Gateway:
    """Return a gateway of the default model `classifier`, and of one that is named `birds`."""
    given = Settings(**{"gateway_grpc_address": "127.0.0.1:0", **settings})
    models = [declaration(CHAMPION, default=True), declaration(OTHER)]
    return Gateway(cast("TritonChannel", triton), cast("Catalog", catalog), given, models)
