"""Large JPEG files of a real scene: frames of the demo's video, enlarged."""

import tempfile
from pathlib import Path

import cv2

from visionops_assets.contracts import MediaKind, PreprocessingSpec
from visionops_assets.demo.media import videos
from visionops_assets.vision.decoding import decode_media

WIDTH_PX, HEIGHT_PX = 1280, 960
JPEG_QUALITY = 90


def photographs() -> list[bytes]:
    """Return a JPEG file of 1280 x 960 pixels for each second of the video."""
    video = videos()[0]
    spec = PreprocessingSpec(size_px=WIDTH_PX)
    encoded = []
    with tempfile.NamedTemporaryFile(prefix="visionops-") as file:
        file.write(video.data)
        file.flush()
        frames = decode_media(
            Path(file.name), MediaKind.VIDEO, spec, max_pixels=WIDTH_PX**2, max_video_duration_s=60
        )
        for frame in frames:
            enlarged = cv2.resize(frame.pixels, (WIDTH_PX, HEIGHT_PX), interpolation=cv2.INTER_AREA)
            bgr = cv2.cvtColor(enlarged, cv2.COLOR_RGB2BGR)
            _, jpeg = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
            encoded.append(jpeg.tobytes())
    return encoded
