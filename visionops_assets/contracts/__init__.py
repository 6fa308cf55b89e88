"""The records that cross rooms. Each is immutable and says its units.

Records of Kafka, of HTTP and beside model weights are here; all others belong to a room. Must stay
importable inside Triton's environment: pydantic and the standard library only.
"""

from visionops_assets.contracts.base import Record, Scope, TolerantRecord
from visionops_assets.contracts.labelling import TRAINING_ALONE, Purpose
from visionops_assets.contracts.media import (
    DeadLetter,
    MediaEvent,
    MediaKind,
    MediaStatus,
)
from visionops_assets.contracts.models import (
    Artifact,
    ArtifactReport,
    Candidate,
    ExportedModel,
    GateState,
    GateVerdict,
    ModelCard,
    Network,
    ParityBound,
)
from visionops_assets.contracts.preprocessing import PreprocessingSpec
from visionops_assets.contracts.serving import (
    Arm,
    Outcome,
    Prediction,
    ReleasedModel,
    Role,
    Rollout,
)

__all__ = [
    "TRAINING_ALONE",
    "Arm",
    "Artifact",
    "ArtifactReport",
    "Candidate",
    "DeadLetter",
    "ExportedModel",
    "GateState",
    "GateVerdict",
    "MediaEvent",
    "MediaKind",
    "MediaStatus",
    "ModelCard",
    "Network",
    "Outcome",
    "ParityBound",
    "Prediction",
    "PreprocessingSpec",
    "Purpose",
    "Record",
    "ReleasedModel",
    "Role",
    "Rollout",
    "Scope",
    "TolerantRecord",
]
