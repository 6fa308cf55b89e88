"""The answers of a model version on its holdout, the reference of monitoring.

Written once by evaluation, read by monitoring.
"""

import io
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from visionops_assets.errors import DamagedArtifactError, NotFoundError
from visionops_assets.resources.object_store import ObjectStore

MAX_FRAMES = 2_000
SEED = 0
MATRIX = 2
Names = npt.NDArray[np.str_]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Reference:
    """N frames of a holdout, and the model's answers to them.

    `classes` (C,) are in the order of `probabilities`, float32 (N, C). `labels` (N,) are by people,
    `answered` (N,) by the model, whose `confidence` (N,) is its own estimate that it is right: the
    largest probability in references of versions before. `embeddings` are float32 (N, E), `quality`
    float32 (N, 4), the `QUALITY_MEASURES` of each frame.
    """

    classes: Names
    labels: Names
    answered: Names
    probabilities: Floats
    confidence: Floats
    embeddings: Floats
    quality: Floats


def reference_key(model_name: str, model_version: int) -> str:
    """Return the object key of a version's reference."""
    return f"models/{model_name}/{model_version}/reference.npz"


def choose_frames(count: int) -> npt.NDArray[np.int64]:
    """Choose at most `MAX_FRAMES` of `count` frames, always the same; return ascending indices."""
    chosen = np.random.default_rng(SEED).permutation(count)[:MAX_FRAMES]
    return np.sort(chosen).astype(np.int64)


def write_reference(
    object_store: ObjectStore, model_name: str, model_version: int, reference: Reference
) -> str:
    """Store a version's reference, in place of an earlier one; return its object key."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **{f.name: getattr(reference, f.name) for f in fields(reference)})
    key = reference_key(model_name, model_version)
    object_store.put(key, buffer.getvalue())
    return key


def read_reference(
    object_store: ObjectStore, model_name: str, model_version: int
) -> Reference | None:
    """Load a version's reference; None without one, as for a version made by other means.

    Raises:
        DamagedArtifactError: it is not what was written, by the checksums of its arrays.
    """
    key = reference_key(model_name, model_version)
    try:
        content = object_store.get(key)
    except NotFoundError:
        return None
    try:
        return _parsed(content)
    except Exception as error:  # Whatever a decoder throws, these bytes are its cause.
        raise DamagedArtifactError(
            f"The reference {key} is not what was written: version {model_version} of {model_name} "
            "cannot be compared with its holdout. Restore the object from a copy or an earlier "
            "version of it; the next model version gets a reference of its own."
        ) from error


def _parsed(content: bytes) -> Reference:
    """Read the arrays, whose checksums NumPy compares.

    Raises:
        Exception: they are no reference. NumPy, zipfile and zlib have many errors for that.
    """
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        kept = dict(arrays)
    kept.setdefault("confidence", kept["probabilities"].max(axis=1))
    found = Reference(**{field.name: kept[field.name] for field in fields(Reference)})
    frames, classes = found.probabilities.shape
    is_whole = (
        found.classes.shape == (classes,)
        and found.labels.shape == found.answered.shape == found.confidence.shape == (frames,)
        and all(
            numbers.ndim == MATRIX and len(numbers) == frames
            for numbers in (found.embeddings, found.quality)
        )
    )
    if not is_whole:
        raise ValueError("Its arrays do not fit together.")
    return found
