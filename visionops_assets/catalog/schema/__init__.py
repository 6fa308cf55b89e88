"""The tables of the catalog. Migrations in `migrations/` bring a database here; a test compares.

Times are UTC with time zone. Bytes live in the object store; a row holds the key and the SHA-256.
"""

from visionops_assets.catalog.schema.base import Base
from visionops_assets.catalog.schema.edge import (
    Acknowledgement,
    ApiKey,
    Camera,
    Media,
    MediaUploader,
    Outbox,
    ResumablePart,
    ResumableUpload,
    SignInLink,
)
from visionops_assets.catalog.schema.erasure import ErasedObject
from visionops_assets.catalog.schema.lineage import SnapshotMedia, TrainedVersion
from visionops_assets.catalog.schema.monitoring import (
    AdoptedLabel,
    Alert,
    Decision,
    DriftWindow,
    HealthWindow,
    LabellingBatch,
    LabellingItem,
    PerformanceWindow,
)
from visionops_assets.catalog.schema.pipeline import (
    AnnotationRow,
    ConsumedEvent,
    DamagedShard,
    EarlyLabel,
    Frame,
    LogCut,
    MediaBatch,
    PredictionRow,
    Snapshot,
    TopicPosition,
)
from visionops_assets.catalog.schema.processing import Processing, Spec
from visionops_assets.catalog.schema.releases import (
    EngineRow,
    Release,
    ReleaseEvent,
    RolloutEvidence,
    RolloutRow,
    Verdict,
)

__all__ = [
    "Acknowledgement",
    "AdoptedLabel",
    "Alert",
    "AnnotationRow",
    "ApiKey",
    "Base",
    "Camera",
    "ConsumedEvent",
    "DamagedShard",
    "Decision",
    "DriftWindow",
    "EarlyLabel",
    "EngineRow",
    "ErasedObject",
    "Frame",
    "HealthWindow",
    "LabellingBatch",
    "LabellingItem",
    "LogCut",
    "Media",
    "MediaBatch",
    "MediaUploader",
    "Outbox",
    "PerformanceWindow",
    "PredictionRow",
    "Processing",
    "Release",
    "ReleaseEvent",
    "ResumablePart",
    "ResumableUpload",
    "RolloutEvidence",
    "RolloutRow",
    "SignInLink",
    "Snapshot",
    "SnapshotMedia",
    "Spec",
    "TopicPosition",
    "TrainedVersion",
    "Verdict",
]
