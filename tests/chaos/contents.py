"""What the clients upload: drawn from a seed, each upload by its number. Pure."""

import hashlib
import random
from dataclasses import dataclass
from enum import StrEnum

import cv2
import numpy as np

SOURCES = ("camera-1", "camera-2", "partner")
SIZE_PX = 24
REPEATS_WITHIN = 40


class Kind(StrEnum):
    """What is special about an upload; the weights are in `WEIGHT_BY_KIND`."""

    PLAIN = "plain"
    KEYED = "keyed"
    REPEATED = "repeated"
    RESUMABLE = "resumable"
    CORRUPT = "corrupt"
    REFUSED = "refused"


WEIGHT_BY_KIND = {
    Kind.PLAIN: 60,
    Kind.KEYED: 10,
    Kind.REPEATED: 12,
    Kind.RESUMABLE: 10,
    Kind.CORRUPT: 4,
    Kind.REFUSED: 4,
}


@dataclass(frozen=True)
class Upload:
    """One upload as a client means it. One that is not patient gives up without an answer."""

    number: int
    kind: Kind
    source: str
    data: bytes
    is_patient: bool
    idempotency_key: str | None

    @property
    def sha256(self) -> str:
        """Hash of the content, in hexadecimal."""
        return hashlib.sha256(self.data).hexdigest()


def draw_upload(seed: int, number: int) -> Upload:
    """Draw the nth upload: the same for the same seed."""
    rng = random.Random(f"{seed}-{number}")
    (kind,) = rng.choices(list(WEIGHT_BY_KIND), list(WEIGHT_BY_KIND.values()))
    # The same picture of the same source as an earlier upload, which may still be under way.
    content = max(0, number - rng.randint(1, REPEATS_WITHIN)) if kind is Kind.REPEATED else number
    return Upload(
        number=number,
        kind=kind,
        source=SOURCES[content % len(SOURCES)],
        data=_data(seed, content, kind),
        is_patient=rng.random() < 0.8,
        idempotency_key=f"chaos-{seed}-{number}" if kind is Kind.KEYED else None,
    )


def _data(seed: int, content: int, kind: Kind) -> bytes:
    if kind is Kind.REFUSED:
        return f"No picture, but words: {seed} {content}".encode()
    picture = _picture(seed, content)
    # Half of a PNG has a header in order, so that only decoding it tells.
    return picture[: len(picture) // 2] if kind is Kind.CORRUPT else picture


def _picture(seed: int, content: int) -> bytes:
    noise = np.random.default_rng([seed, content]).integers(0, 256, (SIZE_PX, SIZE_PX, 3), np.uint8)
    return bytes(cv2.imencode(".png", noise)[1])
