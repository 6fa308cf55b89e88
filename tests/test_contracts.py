"""Records that cross rooms: immutable, requests strict, and specs told apart by content."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from visionops_assets.contracts import Candidate, GateState, GateVerdict, PreprocessingSpec, Record

specs = st.builds(
    PreprocessingSpec,
    size_px=st.integers(8, 512),
    colour=st.sampled_from(["rgb", "gray"]),
    resize=st.sampled_from(["stretch", "letterbox"]),
    video_sample_interval_s=st.floats(0.01, 100),
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
