"""The client of the gateway: predictions of images, lists and streams, and labels for them."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
from pydantic import SecretStr

from visionops_client.connection import Connection, read_as
from visionops_client.gateway_models import ModelsAndLabels
from visionops_client.predictions import (
    ListedImages,
    PredictedImage,
    RefusedImage,
    StreamedFrame,
)
from visionops_client.retrying import Retrying, TemporaryError
from visionops_client.streaming import stream_frames

__all__ = ["GatewayClient", "PredictedImage", "RefusedImage", "StreamedFrame"]

MAX_LIST_IMAGES = 64
MAX_LIST_BYTES = 32 * 1024**2
"""A larger image is sent by itself."""


class GatewayClient(ModelsAndLabels):
    """Predicts by one gateway. Safe to use from several threads.

    `timeout_s` is for connecting, and for each wait for the gateway to read or to answer;
    `retry_for_s` is how long one call is tried, from its first attempt to its last. If an answer is
    lost, the prediction is made and recorded again.

    Raises:
        SettingsError: `url` is no HTTP address.
    """

    def __init__(
        self,
        url: str,
        api_key: SecretStr | str | None,
        *,
        timeout_s: float = 60.0,
        retry_for_s: float = 30.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._api_key = SecretStr(api_key) if isinstance(api_key, str) else api_key
        self._connection = Connection(url, self._api_key, timeout_s, transport)
        self._timeout_s = timeout_s
        self._retrying = Retrying(retry_for_s)

    def close(self) -> None:
        """Close the connections; what waits to be tried again fails."""
        self._retrying.stop()
        self._connection.close()

    def predict(
        self,
        image: bytes | Path,
        *,
        top_k: int | None = None,
        timeout_s: float | None = None,
        sticky_key: str | None = None,
        keep_image: bool = False,
        source: str | None = None,
        model: str | None = None,
    ) -> PredictedImage:
        """Predict one encoded image.

        `top_k` is the number of classes whose probabilities are returned, best first. The call
        fails without an answer within `timeout_s`. One version answers all requests with the same
        `sticky_key` while a canary goes on. `keep_image` asks for the image to be kept, so that a
        model can be trained on it once the prediction has a label. `source` says where it comes
        from, as in uploads: filters of the model may be for some sources alone. `model` names the
        one that is asked, if it is not the default one.

        Raises:
            RefusedError: the gateway refuses this image or this key.
            ServerUnreachableError: not answered within `retry_for_s`.
            OSError: the file cannot be read.
        """
        content = _content(image)
        headers = {"Content-Type": "application/octet-stream", **_sticky(sticky_key)}
        answer = self._retrying.call(
            lambda: self._connection.send(
                "POST",
                _path(model, "predict"),
                params=_query(top_k, timeout_s, keep_image, source),
                headers=headers,
                content=content,
            ),
            within_s=timeout_s,
        )
        return read_as(PredictedImage, answer)

    def predict_many(
        self,
        images: Sequence[bytes | Path],
        *,
        top_k: int | None = None,
        timeout_s: float | None = None,
        sticky_key: str | None = None,
        keep_image: bool = False,
        source: str | None = None,
        model: str | None = None,
    ) -> list[PredictedImage | RefusedImage]:
        """Predict images, with answers in their order; an image that is refused harms no other.

        Images are sent in lists, and `timeout_s` holds for a list. The rest is as with `predict`.

        Raises:
            RefusedError: the gateway refuses this key.
            ServerUnreachableError: a list was not answered within `retry_for_s`.
            OSError: a file cannot be read.
        """
        params, headers = _query(top_k, timeout_s, keep_image, source), _sticky(sticky_key)
        outcomes: list[PredictedImage | RefusedImage] = []
        for contents in _lists(_content(image) for image in images):
            outcomes += self._predict_list(
                contents, _path(model, "predict"), params, headers, timeout_s
            )
        return outcomes

    def _predict_list(
        self,
        contents: list[bytes],
        path: str,
        params: dict[str, str],
        headers: dict[str, str],
        within_s: float | None,
    ) -> list[PredictedImage | RefusedImage]:
        """Send a list, and send again those images that met a temporary error."""
        outcomes: dict[int, PredictedImage | RefusedImage] = {}

        def attempt() -> None:
            waiting = [place for place in range(len(contents)) if place not in outcomes]
            files = [("files", contents[place]) for place in waiting]
            answer = self._connection.send(
                "POST", path, params=params, headers=headers, files=files
            )
            results = read_as(ListedImages, answer).results
            for place, result in zip(waiting, results, strict=True):
                if not result.is_temporary:
                    outcomes[place] = result.outcome
            if len(outcomes) < len(contents):
                left = len(contents) - len(outcomes)
                raise TemporaryError(
                    f"{self._connection.url} did not answer for {left} of {len(contents)} images."
                )

        self._retrying.call(attempt, within_s)
        return [outcomes[place] for place in range(len(contents))]

    def stream(
        self,
        frames: Iterable[bytes],
        *,
        top_k: int | None = None,
        timeout_s: float | None = None,
        sticky_key: str | None = None,
        keep_image: bool = False,
        source: str | None = None,
        model: str | None = None,
    ) -> Iterator[StreamedFrame]:
        """Send encoded frames as they come, and yield the answer to each, in their order.

        A frame is taken from `frames` as soon as there is room for it, by a thread of its own. A
        lost connection is not made again: the caller decides where to go on.

        Raises:
            RefusedError: the gateway refuses this key, or a frame that is too large.
            ServerUnreachableError: the gateway does not answer, or ends the stream.
        """
        return stream_frames(
            self._connection.url,
            _path(model, "stream"),
            self._api_key,
            frames,
            params=_query(top_k, timeout_s, keep_image, source),
            headers=_sticky(sticky_key),
            timeout_s=self._timeout_s,
        )


def _path(model: str | None, verb: str) -> str:
    return f"/v1/{verb}" if model is None else f"/v1/models/{quote(model, safe='')}/{verb}"


def _content(image: bytes | Path) -> bytes:
    return image.read_bytes() if isinstance(image, Path) else image


def _query(
    top_k: int | None, timeout_s: float | None, keep_image: bool, source: str | None
) -> dict[str, str]:
    params: dict[str, Any] = {
        "top_k": top_k,
        "timeout_ms": None if timeout_s is None else max(1, round(timeout_s * 1000)),
        "keep_image": "true" if keep_image else None,
        "source": source,
    }
    return {name: str(value) for name, value in params.items() if value is not None}


def _sticky(key: str | None) -> dict[str, str]:
    return {} if key is None else {"X-Sticky-Key": key}


def _lists(contents: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Cut images into lists that the gateway takes."""
    listed: list[bytes] = []
    listed_bytes = 0
    for content in contents:
        is_full = len(listed) == MAX_LIST_IMAGES or listed_bytes + len(content) > MAX_LIST_BYTES
        if listed and is_full:
            yield listed
            listed, listed_bytes = [], 0
        listed.append(content)
        listed_bytes += len(content)
    if listed:
        yield listed
