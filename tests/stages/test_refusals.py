"""What a refusal does to a run: it succeeds, with failed checks, and nothing comes after."""

from typing import Any, cast

import dagster as dg
import pandas as pd
import pytest

from tests.catalog.standings import standing, version
from tests.defined import asset_of, check_of, step_of
from tests.stages.memory_logs import CutCatalog
from tests.stages.serving_exports import CANDIDATE
from visionops_assets.catalog.next_steps import next_step
from visionops_assets.contracts import Candidate, GateState, GateVerdict
from visionops_assets.resources.snapshot_files import HOLDOUT, TRAIN
from visionops_assets.stages.evaluation import assets as evaluation

GIVEN = [
    dg.AssetSpec(["classifier", name]).with_io_manager_key("records")
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
    after = [asset_of(name) for name in ("exported_model", "model_release")]
    after = [*after, check_of("onnx_matches_pytorch")]
    resources: dict[str, Any] = {
        name: Untouched() for name in ("catalog", "object_store", "tracking", "triton")
    }
    return dg.materialize(
        [*GIVEN, *after],
        selection=after,
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
    assert (step_of("model_release"), "STEP_SKIPPED") in happened
    assert not {kind for _, kind in happened} & {"STEP_FAILURE", "STEP_UP_FOR_RETRY"}


def test_a_verdict_on_another_version_is_a_fault() -> None:
    """Its run fails: a person put together what does not belong together."""
    assert not run_after(version(CANDIDATE.model_version + 1, GateState.REFUSED).verdict).success


@pytest.mark.parametrize("state", GateState)
def test_the_check_says_what_the_gate_said_and_what_to_do(
    state: GateState, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged = version(3, state, groups_needed=4)
    now = standing(judged, champion=2)
    monkeypatch.setattr(evaluation, "model_standing", lambda *_: now)
    result = cast("dg.AssetCheckResult", check_of("gate")(judged.verdict, catalog=CutCatalog()))
    assert result.passed == (state is GateState.PASSED)
    said = judged.verdict.reason
    assert result.description == (said if result.passed else f"{said} {next_step(judged, now)}")
    assert result.metadata["state"].value == state.value


def test_a_verdict_that_the_catalog_lost_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "model_standing", lambda *_: standing())
    lost = version(3, GateState.REFUSED).verdict
    result = cast("dg.AssetCheckResult", check_of("gate")(lost, catalog=CutCatalog()))
    assert result.description == f"{lost.reason} Its verdict is not in the catalog."


@pytest.mark.parametrize(
    ("sides", "said"),
    [
        ((TRAIN, TRAIN), "Each group is on one side."),
        ((TRAIN, HOLDOUT), "1 group(s) are on both sides. That is a fault of VisionOps"),
    ],
)
def test_a_leak_is_told_in_words(sides: tuple[str, str], said: str) -> None:
    members = pd.DataFrame([("g", side) for side in sides], columns=["group_id", "split"])
    result = cast("dg.AssetCheckResult", check_of("no_group_on_both_sides")(members))
    assert result.passed == (sides[0] == sides[1])
    assert str(result.description).startswith(said)


@pytest.mark.parametrize(("held", "passes"), [(5, True), (4, False)])
def test_too_few_labels_are_told_by_class(held: int, passes: bool) -> None:
    members = pd.DataFrame(
        [("dog", side) for side in (TRAIN, HOLDOUT) for _ in range(9)]
        + [("cat", TRAIN)]
        + [("cat", HOLDOUT)] * held,
        columns=["label", "split"],
    )
    result = cast("dg.AssetCheckResult", check_of("every_class_is_held_out")(members))
    assert result.passed == passes
    assert (f"counted: cat ({held})." in str(result.description)) == (not passes)
    assert "dog (" not in str(result.description)
