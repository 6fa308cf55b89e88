"""The range of each number in the records: its ends are taken, and what lies beyond is refused."""

from itertools import chain
from types import ModuleType
from typing import Annotated, Any

import pytest
from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen
from pydantic import BaseModel, TypeAdapter, ValidationError

from visionops_assets.contracts import media, models, preprocessing, serving
from visionops_assets.vision import inspection
from visionops_assets.vision.capture import messages as of_cameras
from visionops_assets.vision.sandbox import messages as of_the_sandbox

COUNT = ([1], [0])
INDEX = ([0], [-1])
SHARE = ([0, 1], [-0.001, 1.001])
GAMMA = preprocessing.Gamma(gamma=2)
TIME_S = ([0, 1e9], [-0.001])

RANGES: dict[str, tuple[list[Any], list[Any]]] = {
    "ArtifactReport.accuracy": SHARE,
    "ArtifactReport.images": COUNT,
    "ArtifactReport.label_agreement": SHARE,
    "ArtifactReport.latency_ms": TIME_S,
    "ArtifactReport.max_probability_error": SHARE,
    "ArtifactReport.reference_accuracy": SHARE,
    "Candidate.model_version": COUNT,
    "DeadLetter.offset": INDEX,
    "DeadLetter.partition": INDEX,
    "ExportedModel.model_version": COUNT,
    "GateVerdict.accuracy": SHARE,
    "GateVerdict.accuracy_high": SHARE,
    "GateVerdict.accuracy_low": SHARE,
    "GateVerdict.groups_needed": COUNT,
    "GateVerdict.holdout_groups": COUNT,
    "GateVerdict.holdout_size": COUNT,
    "GateVerdict.model_version": COUNT,
    "GateVerdict.champion_score": SHARE,
    "GateVerdict.score": SHARE,
    "GateVerdict.score_high": SHARE,
    "GateVerdict.score_low": SHARE,
    "GateVerdict.trivial_accuracy": SHARE,
    "GateVerdict.trivial_score": SHARE,
    "MediaEvent.bytes": COUNT,
    "ModelCard.classes": ([("a", "b")], [("a",)]),
    "ModelCard.embedding_size": COUNT,
    "ParityBound.max_accuracy_drop": SHARE,
    "ParityBound.max_probability_error": SHARE,
    "ParityBound.min_label_agreement": SHARE,
    "Prediction.latency_ms": ([0, 3.5e38], [-0.001, 3.6e38]),
    "Prediction.model_version": ([1, 2**63 - 1], [0, 2**63]),
    "Prediction.probabilities": ([(1.0,), (-3.5e38, 3.5e38)], [(), (3.6e38,), (-3.6e38,)]),
    "BlurMask.bottom": ([0.001, 1], [0, 1.001]),
    "Rectangle.bottom": ([0.001, 1], [0, 1.001]),
    "RegionOfInterest.bottom": ([0.001, 1], [0, 1.001]),
    "BlurMask.left": ([0, 0.999], [-0.001, 1]),
    "Rectangle.left": ([0, 0.999], [-0.001, 1]),
    "RegionOfInterest.left": ([0, 0.999], [-0.001, 1]),
    "BlurMask.right": ([0.001, 1], [0, 1.001]),
    "Rectangle.right": ([0.001, 1], [0, 1.001]),
    "RegionOfInterest.right": ([0.001, 1], [0, 1.001]),
    "BlurMask.sources": ([("*",)], [()]),
    "Rectangle.sources": ([("*",)], [()]),
    "RegionOfInterest.sources": ([("*",)], [()]),
    "BlurMask.top": ([0, 0.999], [-0.001, 1]),
    "Rectangle.top": ([0, 0.999], [-0.001, 1]),
    "RegionOfInterest.top": ([0, 0.999], [-0.001, 1]),
    "Clahe.clip": ([1, 40], [0.999, 40.001]),
    "Clahe.tiles": ([1, 32], [0, 33]),
    "Denoise.strength": ([0.001, 100], [0, 100.001]),
    "EveryNth.n": COUNT,
    "Gamma.gamma": ([0.1, 10], [0.099, 10.001]),
    "PreprocessingSpec.filters": ([(), (GAMMA,) * 16], [(GAMMA,) * 17]),
    "PreprocessingSpec.jpeg_quality": ([50, 100, None], [49, 101]),
    "PreprocessingSpec.max_frames_per_video": ([1, 20_000, None], [0, 20_001]),
    "SceneChanges.threshold": ([0.001, 0.999], [0, 1]),
    "Sharpen.amount": ([0.001, 5], [0, 5.001]),
    "Sharpen.radius_px": ([0.001, 20], [0, 20.001]),
    "PreprocessingSpec.size_px": ([8, 4_096], [7, 4_097]),
    "PreprocessingSpec.video_sample_interval_s": ([0.001, 1e9], [0]),
    "ReleasedModel.model_version": COUNT,
    "Rollout.champion_version": COUNT,
    "Rollout.min_agreement": SHARE,
    "Rollout.model_version": COUNT,
    "Rollout.share_percent": ([0.001, 100], [0, 100.001]),
    "VideoFacts.duration_s": ([0.001, None], [0]),
    "VideoFacts.height": COUNT,
    "VideoFacts.width": COUNT,
    # A child reads hostile bytes: what it says is bounded, too.
    "CaptureRequest.max_pixels": COUNT,
    "CaptureRequest.memory_bytes": COUNT,
    "CutReply.age_s": ([0, 720], [-0.001, 720.001]),
    "CutRules.clip_s": ([0.2, 300], [0.199, 300.001]),
    "CutRules.every_s": ([0.2, 86_400], [0.199, 86_400.001]),
    "CutRules.min_area": ([0.001, 0.999], [0, 1]),
    "DoneReply.milliseconds": TIME_S,
    "EndedReply.reason": (["x" * 300], ["x" * 301]),
    "ErrorReply.milliseconds": TIME_S,
    "ErrorReply.message": (["x" * 1_000], ["x" * 1_001]),
    "DecodeRequest.specs": ([(preprocessing.PreprocessingSpec(),)], [()]),
    "FrameReply.index": INDEX,
    "FrameReply.spec": INDEX,
    "FrameReply.time_s": TIME_S,
    "HeartbeatReply.dropped_frames": ([0, 1_000_000], [-1, 1_000_001]),
    "HeartbeatReply.frames": ([0, 1_000_000], [-1, 1_000_001]),
    "HeartbeatReply.interval_s": ([0.001, 1e9], [0]),
    "OpenedReply.codec": (["x" * 64], ["x" * 65]),
    "ProbeRequest.size_bytes": INDEX,
    "ReadReply.count": ([1, 262_144], [0, 262_145]),
    "ReadReply.offset": INDEX,
}
"""By record and field: values that are taken, and values that are not."""

DEFAULTS = {
    "ParityBound.max_accuracy_drop": 1,
    "ParityBound.max_probability_error": 1,
    "ParityBound.min_label_agreement": 0,
    "BlurMask.sources": ("*",),
    "Clahe.clip": 2,
    "Clahe.tiles": 8,
    "Denoise.strength": 10,
    "PreprocessingSpec.filters": (),
    "SceneChanges.threshold": 0.1,
    "Sharpen.amount": 0.5,
    "Sharpen.radius_px": 1,
    "PreprocessingSpec.size_px": 64,
    "PreprocessingSpec.video_sample_interval_s": 1,
    "CutRules.clip_s": 5,
    "CutRules.every_s": 10,
    "CutRules.min_area": 0.01,
    "CutRules.motion": False,
}
MODULES = (media, models, preprocessing, serving, inspection, of_the_sandbox, of_cameras)
BOUNDS = (Ge, Gt, Le, Lt, MaxLen, MinLen)


def records_of(module: ModuleType) -> dict[str, type[BaseModel]]:
    found = {name: each for name, each in vars(module).items() if isinstance(each, type)}
    return {name: each for name, each in found.items() if issubclass(each, BaseModel)}


RECORDS = dict(chain.from_iterable(records_of(module).items() for module in MODULES))


@pytest.mark.parametrize("name", RANGES)
def test_a_number_of_a_record_has_its_range(name: str) -> None:
    record, _, field_name = name.partition(".")
    field = RECORDS[record].model_fields[field_name]
    annotated: Any = Annotated[field.annotation, *field.metadata]
    of_field: TypeAdapter[Any] = TypeAdapter(annotated)
    taken, refused = RANGES[name]
    for value in taken:
        assert of_field.validate_python(value) == value
    for value in refused:
        with pytest.raises(ValidationError):
            of_field.validate_python(value)


def test_every_range_of_a_record_is_in_the_table() -> None:
    bounded = {
        f"{name}.{field_name}"
        for name, record in RECORDS.items()
        for field_name, field in record.model_fields.items()
        if any(isinstance(each, BOUNDS) for each in field.metadata)
    }
    assert bounded == RANGES.keys()


@pytest.mark.parametrize("name", DEFAULTS)
def test_what_a_record_does_not_say_has_its_default(name: str) -> None:
    record, _, field_name = name.partition(".")
    assert RECORDS[record].model_fields[field_name].default == DEFAULTS[name]
