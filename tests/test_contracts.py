"""Records that cross rooms: immutable, requests strict, and specs told apart by content."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from visionops_assets.contracts import Candidate, GateState, GateVerdict, PreprocessingSpec, Record
from visionops_assets.contracts.preprocessing import BlurMask, EveryNth, Gamma, SceneChanges

specs = st.builds(
    PreprocessingSpec,
    size_px=st.integers(8, 512),
    colour=st.sampled_from(["rgb", "gray"]),
    resize=st.sampled_from(["stretch", "letterbox", "centre_crop"]),
    video_sample_interval_s=st.floats(0.01, 100),
    filters=st.sampled_from([(), (BlurMask(right=0.5), Gamma(gamma=2)), (Gamma(gamma=2),)]),
    video_sampling=st.sampled_from([None, EveryNth(n=2), EveryNth(n=3), SceneChanges()]),
    max_frames_per_video=st.sampled_from([None, 1, 2]),
    jpeg_quality=st.sampled_from([None, 90]),
)


@given(specs, specs)
def test_specs_have_one_id_exactly_if_they_are_equal(
    one: PreprocessingSpec, other: PreprocessingSpec
) -> None:
    assert (one.spec_id == other.spec_id) == (one == other)
    assert PreprocessingSpec.model_validate_json(one.model_dump_json()).spec_id == one.spec_id


def test_spec_ids_do_not_change_between_releases() -> None:
    """Frames in catalogs out there carry this id."""
    assert PreprocessingSpec().spec_id == "pp-b66a118d8012"
    large = PreprocessingSpec(size_px=128, resize="letterbox", video_sample_interval_s=0.5)
    assert large.spec_id == "pp-9a46b00a791e"


def test_what_an_earlier_version_cannot_read_is_written_only_if_it_is_used() -> None:
    first = {"size_px", "colour", "resize", "video_sample_interval_s"}
    assert PreprocessingSpec().model_dump().keys() == first
    assert json.loads(PreprocessingSpec(jpeg_quality=90).model_dump_json()).keys() == first | {
        "jpeg_quality"
    }


def test_filters_of_the_picture_come_before_those_of_the_frame() -> None:
    with pytest.raises(ValidationError, match="region, blur"):
        PreprocessingSpec(filters=(Gamma(gamma=2), BlurMask()))


@pytest.mark.parametrize("sides", [{"left": 0.5, "right": 0.5}, {"top": 0.8, "bottom": 0.2}])
def test_a_rectangle_has_an_area(sides: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match="no area"):
        BlurMask.model_validate(sides)


def test_a_rectangle_is_for_the_sources_that_it_names() -> None:
    everywhere, here = BlurMask(), BlurMask(right=0.5, sources=("gate-*", "door"))
    spec = PreprocessingSpec(filters=(everywhere, here, Gamma(gamma=2)))
    assert spec.for_source("gate-7") == spec.for_source("door") == spec
    for other in ("", "gate", "Door", "the gate-7"):
        assert spec.for_source(other).filters == (everywhere, Gamma(gamma=2))


class Asked(Record):
    size: int


def test_records_are_immutable_and_requests_refuse_unknown_fields() -> None:
    candidate = Candidate(model_name="m", model_version=1, mlflow_run_id="r", snapshot_id="ds-1")
    with pytest.raises(ValidationError, match="frozen"):
        candidate.model_version = 2  # type: ignore[misc]
    with pytest.raises(ValidationError, match="sizze"):
        Asked.model_validate({"size": 1, "sizze": 1})


OLD_VERDICT = {
    "model_name": "m",
    "model_version": 1,
    "champion_version": None,
    "snapshot_id": "s",
    "holdout_size": 10,
    "accuracy": 0.5,
    "accuracy_low": 0.2,
    "accuracy_high": 0.8,
    "champion_accuracy": None,
    "reason": "A verdict of before there were three states.",
}


@pytest.mark.parametrize(
    ("passed", "state"), [(True, GateState.PASSED), (False, GateState.REFUSED)]
)
def test_an_old_verdict_has_the_state_that_it_says(passed: bool, state: GateState) -> None:
    verdict = GateVerdict.model_validate(OLD_VERDICT | {"passed": passed})
    assert (verdict.state, verdict.groups_needed) == (state, None)
    assert GateVerdict.model_validate_json(verdict.model_dump_json()) == verdict


@pytest.mark.parametrize("state", [GateState.REFUSED, GateState.UNDECIDED])
def test_nothing_passes_but_what_passed(state: GateState) -> None:
    with pytest.raises(ValidationError, match="passed=True"):
        GateVerdict.model_validate(OLD_VERDICT | {"passed": True, "state": state})
