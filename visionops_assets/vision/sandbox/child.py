"""The child of the sandbox: `python -m` this. Reads one file after another, within limits."""

import gc
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np

from visionops_assets.contracts import MediaKind
from visionops_assets.errors import DecoderCrashedError, MediaError
from visionops_assets.redaction import for_clients
from visionops_assets.vision.complaints import StandardError
from visionops_assets.vision.crop_hashes import crop_hashes
from visionops_assets.vision.decoding import decode_for_each
from visionops_assets.vision.monitoring.quality import measure_frame
from visionops_assets.vision.preprocessing import encode_frame, perceptual_hash
from visionops_assets.vision.probing import probe_video
from visionops_assets.vision.sandbox.limits import (
    allow_cpu_time,
    limit_resources,
    read_exactly,
    send,
    take_standard_output,
)
from visionops_assets.vision.sandbox.messages import (
    REQUEST,
    DecodeRequest,
    DoneReply,
    ErrorReply,
    FactsReply,
    FrameReply,
    Limits,
    ProbeRequest,
    ReadReply,
    ReadyReply,
    Request,
    encode_message,
    read_message,
)

MAX_ERROR_CHARACTERS = 500


def main() -> None:
    """Serve requests from standard input until it ends."""
    limits = Limits.model_validate_json(sys.argv[1])
    complaints = StandardError()
    replies = take_standard_output()
    cv2.setNumThreads(1)
    limit_resources(limits.memory_bytes)
    encode_frame(
        np.zeros((8, 8, 3), np.uint8)
    )  # fails here, before any file, if memory is too small
    gc.freeze()  # what is imported is no garbage, and need not be looked through
    send(replies, encode_message(ReadyReply()))
    while True:
        try:
            header, _ = read_message(read_exactly, max_body_bytes=0)
        except EOFError:
            return
        _serve(REQUEST.validate_json(header), limits, replies, complaints)


def _serve(request: Request, limits: Limits, replies: BinaryIO, complaints: StandardError) -> None:
    if isinstance(request, ProbeRequest):
        _answer(partial(_probe, request, limits, replies), limits, replies)
        gc.collect()
        return
    for path in request.paths:
        decode = partial(_decode, Path(path), request, limits, replies, complaints)
        _answer(decode, limits, replies)
        if request.kind == MediaKind.VIDEO:
            # PyAV's containers and streams refer to each other: threads and buffers would stay.
            gc.collect()


def _answer(read_file: Callable[[], None], limits: Limits, replies: BinaryIO) -> None:
    """Read one file, or say why it cannot be used."""
    allow_cpu_time(limits.timeout_s * (1 + limits.threads))
    started_s = time.monotonic()
    try:
        read_file()
    except MediaError as error:
        _send_error(replies, error.code, str(error), _ms_since(started_s))
    except Exception as error:  # whatever a decoder throws, this file is its cause
        _send_error(
            replies, DecoderCrashedError.code, for_clients(f"{type(error).__name__}: {error}")
        )
        sys.exit(1)


def _decode(
    path: Path,
    request: DecodeRequest,
    limits: Limits,
    replies: BinaryIO,
    complaints: StandardError,
) -> None:
    started_s = time.monotonic()
    complaints.forget()
    frames = decode_for_each(
        path,
        MediaKind(request.kind),
        request.specs,
        max_pixels=limits.max_pixels,
        max_video_duration_s=limits.max_video_duration_s,
        threads=limits.threads,
    )
    picture_px = None
    for place, frame in frames:
        complaints.check()
        picture_px = frame.picture_px
        reply = FrameReply(
            spec=place,
            index=frame.index,
            time_s=frame.time_s,
            perceptual_hash=perceptual_hash(frame.pixels),
            quality=measure_frame(frame.pixels),
            crop_hashes=crop_hashes(frame.pixels).hex(),
        )
        encoded = encode_frame(frame.pixels, request.specs[place].jpeg_quality)
        # Those of a file go together: to wake the parent costs as much as a small frame.
        replies.write(encode_message(reply, encoded))
    # Not later: if the next file hangs, this one is not to blame.
    done = DoneReply(milliseconds=_ms_since(started_s), picture_px=picture_px)
    send(replies, encode_message(done))


def _probe(request: ProbeRequest, limits: Limits, replies: BinaryIO) -> None:
    def read(offset: int, count: int) -> bytes:
        send(replies, encode_message(ReadReply(offset=offset, count=count)))
        _, data = read_message(read_exactly, max_body_bytes=count)
        return data

    facts = probe_video(
        read,
        request.size_bytes,
        max_pixels=limits.max_pixels,
        max_duration_s=limits.max_video_duration_s,
    )
    send(replies, encode_message(FactsReply(facts=facts)))


def _ms_since(started_s: float) -> float:
    return round(1_000 * (time.monotonic() - started_s), 2)


def _send_error(replies: BinaryIO, code: str, message: str, milliseconds: float = 0.0) -> None:
    message = message[:MAX_ERROR_CHARACTERS]
    reply = ErrorReply(code=code, message=message, milliseconds=milliseconds)
    send(replies, encode_message(reply))


if __name__ == "__main__":
    main()
