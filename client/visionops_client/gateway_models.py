"""The part of the gateway's client that is no prediction: models, labels and annotations."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote
from uuid import UUID

from visionops_client import annotations
from visionops_client.annotations import GivenAnnotation, Said, TakenLines
from visionops_client.connection import Connection, ServiceClient, read_as
from visionops_client.predictions import GivenLabel, ListedModels, ModelDescription
from visionops_client.retrying import Retrying


class ModelsAndLabels(ServiceClient):
    """Asks a gateway for its models, and tells it what predicted images really show."""

    _connection: Connection
    _retrying: Retrying

    def models(self) -> tuple[ModelDescription, ...]:
        """Return the declared models, the default one first, with what serves of each.

        Raises:
            RefusedError: the gateway refuses this key.
            ServerUnreachableError: not answered within `retry_for_s`.
        """
        answer = self._retrying.call(lambda: self._connection.send("GET", "/v1/models"))
        return read_as(ListedModels, answer).models

    def model(self, name: str) -> ModelDescription:
        """Return one declared model.

        Raises:
            RefusedError: no model of this name is declared, or the gateway refuses this key.
            ServerUnreachableError: not answered within `retry_for_s`.
        """
        path = f"/v1/models/{quote(name, safe='')}"
        answer = self._retrying.call(lambda: self._connection.send("GET", path))
        return read_as(ModelDescription, answer)

    def label(self, prediction_id: UUID, label: str, *, answers_draw: bool = False) -> GivenLabel:
        """Say what a predicted image really shows. The newest label of a prediction counts.

        Several labels are separated by commas, where the model gives several. `answers_draw` says
        that it would be given whatever it says: then it counts for accuracy and the alarm, if the
        prediction was drawn.

        Raises:
            RefusedError: the gateway refuses this label or this key.
            ServerUnreachableError: not answered within `retry_for_s`.
        """
        path = f"/v1/predictions/{prediction_id}/label"
        said = {"label": label} | ({"answers_draw": True} if answers_draw else {})
        answer = self._retrying.call(lambda: self._connection.send("POST", path, json=said))
        return read_as(GivenLabel, answer)

    def annotate_prediction(
        self,
        prediction_id: UUID,
        said: Said | None,
        *,
        model: str | None = None,
        new_classes: bool = False,
        answers_draw: bool = False,
    ) -> GivenAnnotation | None:
        """Say what a predicted image really shows; None takes back, and returns None.

        `model` need not be told: it is the one that made the prediction. `new_classes` lets the
        annotation name classes that the model does not have; for `answers_draw` see `label`.

        Raises:
            RefusedError: the gateway refuses this annotation or this key.
            ServerUnreachableError: not answered within `retry_for_s`.
        """
        path, params = _path(prediction_id), {"model": model}
        if said is None:
            annotations.take_back(self._connection, self._retrying, path, params)
            return None
        told = params | {"new_classes": new_classes}
        told |= {"answers_draw": True} if answers_draw else {}
        return annotations.give(self._connection, self._retrying, path, said, told)

    def annotate_files(
        self,
        model: str,
        lines: Sequence[Mapping[str, Any]],
        *,
        source: str | None = None,
        new_classes: bool = False,
    ) -> TakenLines:
        """Say what many stored files show, some thousand per call.

        A line names a file by `media_id`, by `sha256` or else by `filename`, of `source` if that is
        given, maybe a part of a video by `start_s` and `end_s`; and has `annotation`, a payload in
        the form of the model's task. Lines that change nothing add nothing.

        Raises:
            RefusedError: no such model is declared, or the gateway refuses this key.
            ServerUnreachableError: not answered within `retry_for_s`.
        """
        params = {"source": source, "new_classes": new_classes}
        return annotations.give_many(
            self._connection, self._retrying, _of_model(model), lines, params
        )

    def annotations_of_files(
        self, model: str, *, source: str | None = None
    ) -> Iterator[dict[str, Any]]:
        """Yield the annotations of stored files that count for a model, as they come.

        Each has the fields of a line of `annotate_files`, and `source`, `author`, `created_at`
        and `size_px`, width and height of the upright picture.

        Raises:
            RefusedError: no such model is declared, or the gateway refuses this key.
            ServerUnreachableError: it does not answer, or not to the end.
        """
        return annotations.list_many(self._connection, _of_model(model), {"source": source})

    def annotations_of_prediction(self, prediction_id: UUID) -> tuple[GivenAnnotation, ...]:
        """Return what was said of a prediction, newest first.

        Raises:
            RefusedError: the gateway refuses this key.
            ServerUnreachableError: not answered within `retry_for_s`.
        """
        return annotations.list_all(self._connection, self._retrying, _path(prediction_id))


def _path(prediction_id: UUID) -> str:
    return f"/v1/predictions/{prediction_id}/annotation"


def _of_model(name: str) -> str:
    return f"/v1/models/{quote(name, safe='')}/annotations"
