"""Asks Triton for predictions, without blocking other requests."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from pydantic import BaseModel
from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.utils import InferenceServerException

from visionops_assets.errors import NoModelServedError
from visionops_assets.resources.triton import (
    CHANNEL_OPTIONS,
    Answer,
    image_input,
    read_answer,
    to_visionops_error,
)

DEADLINE_S = 10.0


class PredictionAnswer(BaseModel):
    """What a client gets for one image."""

    label: str
    probability: float
    probabilities: dict[str, float]
    prediction_id: UUID
    model_version: int


class Predictor:
    """One model of one Triton server. Must be made and used within one event loop."""

    def __init__(self, triton_grpc_address: str, model_name: str) -> None:
        self._address = triton_grpc_address
        self._model_name = model_name
        self._client: InferenceServerClient | None = None
        self._classes_by_version: dict[int, tuple[str, ...]] = {}

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        """Hold a channel to Triton for the length of the block; Triton may come up later."""
        self._client = InferenceServerClient(self._address, channel_args=CHANNEL_OPTIONS)
        try:
            yield
        finally:
            await self._client.close()

    async def check(self) -> None:
        """Ask whether Triton answers; whether it has a model yet is another question.

        Raises:
            ServerUnreachableError: it does not.
        """
        try:
            await self._connection.is_server_live(client_timeout=DEADLINE_S)
        except InferenceServerException as error:
            raise to_visionops_error(error, self._model_name) from error

    async def predict(self, image: bytes) -> PredictionAnswer:
        """Predict one encoded image.

        Raises:
            MediaError: the image cannot be used.
            NoModelServedError: no version of the model is loaded.
            ServerUnreachableError: Triton does not answer.
            DeadlineExceededError: it took longer than `DEADLINE_S`.
        """
        answer = await self._infer(image)
        try:
            classes = await self._classes(answer.model_version)
        except NoModelServedError:
            # That version was replaced a moment ago: its successor names its classes.
            answer = await self._infer(image)
            classes = await self._classes(answer.model_version)
        probabilities = dict(zip(classes, answer.probabilities, strict=True))
        return PredictionAnswer(
            label=answer.label,
            probability=probabilities[answer.label],
            probabilities=probabilities,
            prediction_id=answer.prediction_id,
            model_version=answer.model_version,
        )

    async def _infer(self, image: bytes) -> Answer:
        try:
            result = await self._connection.infer(
                self._model_name, [image_input(image)], client_timeout=DEADLINE_S
            )
        except InferenceServerException as error:
            raise to_visionops_error(error, self._model_name) from error
        return read_answer(result.as_numpy)

    async def _classes(self, version: int) -> tuple[str, ...]:
        """Class names of a version, in the order of its probabilities; asked for once."""
        if version not in self._classes_by_version:
            try:
                answer = await self._connection.get_model_config(
                    self._model_name, str(version), client_timeout=DEADLINE_S
                )
            except InferenceServerException as error:
                raise to_visionops_error(error, self._model_name) from error
            names = json.loads(answer.config.parameters["classes"].string_value)
            self._classes_by_version[version] = tuple(names)
        return self._classes_by_version[version]

    @property
    def _connection(self) -> InferenceServerClient:
        if self._client is None:
            raise RuntimeError("Predictor is used outside of `connected()`.")
        return self._client
