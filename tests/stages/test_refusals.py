"""What a refusal does to a run: it succeeds, with failed checks, and nothing comes after."""

from typing import Any, cast

import dagster as dg
import pandas as pd
import pytest

from tests.catalog.standings import version
from tests.stages.serving_exports import CANDIDATE
from visionops_assets.contracts import Candidate, GateState, GateVerdict
from visionops_assets.resources.snapshot_files import HOLDOUT, TRAIN
from visionops_assets.stages.datasets.assets import every_class_is_held_out
from visionops_assets.stages.evaluation.assets import gate
from visionops_assets.stages.serving.assets import model_release
from visionops_assets.stages.serving.exported import exported_model, onnx_matches_pytorch

GIVEN = [
    dg.AssetSpec(name).with_io_manager_key("records")
    for name in ("trained_model", "model_evaluation")
]


class Given(dg.IOManager):
    """Gives the inputs of a run, and must be given nothing."""

    def __init__(self, verdict: GateVerdict) -> None:
        self._given: dict[str, Candidate | GateVerdict] = {
            "trained_model": CANDIDATE,
            "model_evaluation": verdict,
        }

    def load_input(self, context: dg.InputContext) -> Candidate | GateVerdict:
        return self._given[context.asset_key.path[-1]]

    def handle_output(self, _context: dg.OutputContext, obj: Any) -> None:
        raise AssertionError(f"{obj} was made.")


class Untouched:
    """Stands in for a server that nothing may be asked of."""


def run_after(verdict: GateVerdict) -> dg.ExecuteInProcessResult:
    """Run what comes after the gate."""
    resources: dict[str, Any] = {
        name: Untouched() for name in ("catalog", "object_store", "tracking", "triton")
    }
    return dg.materialize(
        [*GIVEN, exported_model, model_release, onnx_matches_pytorch],
        selection=[exported_model, model_release, onnx_matches_pytorch],
        resources=resources | {"records": Given(verdict)},
        raise_on_error=False,
    )


@pytest.mark.parametrize("state", [GateState.REFUSED, GateState.UNDECIDED])
def test_after_a_verdict_that_does_not_pass_nothing_is_made_and_no_run_fails(
    state: GateState,
) -> None:
    result = run_after(version(CANDIDATE.model_version, state).verdict)
    assert result.success
    assert result.get_asset_materialization_events() == []
    happened = {(event.step_key, event.event_type_value) for event in result.all_events}
    assert ("model_release", "STEP_SKIPPED") in happened
    assert not {kind for _, kind in happened} & {"STEP_FAILURE", "STEP_UP_FOR_RETRY"}


def test_a_verdict_on_another_version_is_a_fault() -> None:
    """Its run fails: a person put together what does not belong together."""
    assert not run_after(version(CANDIDATE.model_version + 1, GateState.REFUSED).verdict).success


@pytest.mark.parametrize("state", GateState)
def test_the_check_says_what_the_gate_said(state: GateState) -> None:
    verdict = version(3, state, groups_needed=4).verdict
    result = cast("dg.AssetCheckResult", gate(verdict))
    assert result.passed == (state is GateState.PASSED)
    assert result.description == verdict.reason
    assert result.metadata["state"].value == state.value


@pytest.mark.parametrize(("held", "passes"), [(5, True), (4, False)])
def test_too_few_labels_are_told_by_class(held: int, passes: bool) -> None:
    members = pd.DataFrame(
        [("dog", side) for side in (TRAIN, HOLDOUT) for _ in range(9)]
        + [("cat", TRAIN)]
        + [("cat", HOLDOUT)] * held,
        columns=["label", "split"],
    )
    result = cast("dg.AssetCheckResult", every_class_is_held_out(members))
    assert result.passed == passes
    assert (f"counted: cat ({held})." in str(result.description)) == (not passes)
    assert "dog (" not in str(result.description)
