"""One connection of a stream: reads frames, predicts each, and writes the answers in order."""

import asyncio
from collections.abc import Callable, Coroutine
from itertools import count

from fastapi import WebSocket
from starlette.websockets import WebSocketDisconnect

from visionops_assets.errors import VisionOpsError
from visionops_assets.services.gateway.answers import FrameResult

MAX_FRAMES_UNDER_WAY = 8
"""Frames of one stream under way: enough to keep Triton busy, and few enough to share it."""
NORMAL_CLOSURE, GOING_AWAY, UNSUPPORTED_DATA, POLICY_VIOLATION = 1000, 1001, 1003, 1008

Predict = Callable[[bytes, int], Coroutine[None, None, FrameResult]]
"""Predicts the frame with this number. An error ends the stream."""


class Stream:
    """An accepted connection."""

    def __init__(self, websocket: WebSocket, predict: Predict) -> None:
        self.frames = 0
        self._websocket = websocket
        self._predict = predict
        self._room = asyncio.Semaphore(MAX_FRAMES_UNDER_WAY)
        self._under_way: asyncio.Queue[asyncio.Task[FrameResult] | None] = asyncio.Queue()
        self._reading: asyncio.Task[None] | None = None
        self._closing = (NORMAL_CLOSURE, "")
        self._is_gone = False

    async def run(self) -> None:
        """Answer frames until the client leaves, breaks the rules, or `stop` is called."""
        self._reading = asyncio.create_task(self._read())
        try:
            await self._write()
            if not self._is_gone:
                await self._websocket.close(*self._closing)
        except WebSocketDisconnect:
            pass  # The client left during an answer.
        finally:
            self._reading.cancel()
            await self._drop_what_is_under_way()

    def stop(self, code: int, reason: str) -> None:
        """Read no more frames. Those that came are answered, then the connection is closed."""
        self._closing = (code, reason)
        if self._reading is not None:
            self._reading.cancel()

    async def _read(self) -> None:
        """Start a prediction for each frame, as long as there is room for one more."""
        try:
            for sequence in count():
                await self._room.acquire()
                message = await self._websocket.receive()
                if message["type"] == "websocket.disconnect":
                    self._is_gone = True
                    return
                frame = message.get("bytes")
                if frame is None:
                    self._closing = (UNSUPPORTED_DATA, "Frames are sent as binary messages.")
                    return
                self.frames += 1
                predicted = asyncio.create_task(self._predict(frame, sequence))
                self._under_way.put_nowait(predicted)
        finally:
            self._under_way.put_nowait(None)

    async def _write(self) -> None:
        while (predicted := await self._under_way.get()) is not None:
            try:
                answer = await predicted
            except VisionOpsError as error:
                self._closing = (POLICY_VIOLATION, error.code)
                return
            await self._websocket.send_text(answer.model_dump_json())
            self._room.release()

    async def _drop_what_is_under_way(self) -> None:
        """Give up predictions that nobody waits for."""
        dropped = []
        while not self._under_way.empty():
            if predicted := self._under_way.get_nowait():
                predicted.cancel()
                dropped.append(predicted)
        await asyncio.gather(*dropped, return_exceptions=True)
