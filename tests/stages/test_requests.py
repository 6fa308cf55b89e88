"""Requests are checked by the first step of a run, in one sentence."""

from collections.abc import Mapping
from typing import Any

import dagster as dg
import pytest

from tests.defined import asset_of, step_of
from visionops_assets.errors import InvalidRequestError
from visionops_assets.stages.requests import REQUEST_OF, EngineRequest, ReleaseRequest, check_run

BAD: Mapping[str, dict[str, Any]] = {
    "trained_model": {"steps": -3},
    "model_release": {"canary_percent": -5},
    "engine": {"model_version": -1},
}
"""One request of each kind that nothing can be done with."""


@pytest.mark.parametrize("step", REQUEST_OF)
def test_every_request_is_refused_in_one_sentence_by_its_step_and_by_the_first_of_its_run(
    step: str,
) -> None:
    ((field, value),) = BAD[step].items()
    said = rf"^{field} is {value}, and must be [^\n]+\.$"
    compute: Any = asset_of(step).op.compute_fn
    with pytest.raises(dg.Failure) as failed:
        # Nothing else is touched before.
        list(called(compute.decorated_fn, REQUEST_OF[step](**BAD[step])))
    assert failed.value.metadata["code"].value == InvalidRequestError.code
    assert failed.value.description is not None
    with pytest.raises(InvalidRequestError, match=said) as refused:
        check_run({"ops": {step_of(step): {"config": BAD[step]}}})
    assert failed.value.description == str(refused.value)


def called(function: Any, request: Any) -> Any:
    """Call the function of an asset with a request, and with nothing else."""
    names = function.__wrapped__.__annotations__.keys() - {"return", "config"}
    return function(**dict.fromkeys(names), config=request) or []


@pytest.mark.parametrize("percent", [-0.1, 100.1, float("nan")])
def test_no_share_is_outside_the_traffic(percent: float) -> None:
    with pytest.raises(InvalidRequestError, match="must be from 0 to 100"):
        ReleaseRequest(canary_percent=percent).check()


@pytest.mark.parametrize("request_", [ReleaseRequest(), EngineRequest(model_version=3)])
@pytest.mark.parametrize("percent", [0, 100])
def test_bounds_belong_to_the_range(request_: Any, percent: float) -> None:
    request_.check()
    ReleaseRequest(canary_percent=percent).check()


@pytest.mark.parametrize(
    "run_config",
    [
        {},
        {"ops": None},
        {"ops": {"a__trained_model": None, "a__labels": {"config": {"steps": -3}}}},
        {"ops": {"a__trained_model": {"config": {"steps": {"env": "STEPS"}}}}},
        {"ops": {"a__trained_model": {"config": {"steps": 3}}, "a__model_release": {}}},
    ],
    ids=str,
)
def test_a_run_without_a_wrong_value_is_not_refused(run_config: dict[str, Any]) -> None:
    check_run(run_config)


def test_the_first_step_refuses_what_the_last_one_could_not_do() -> None:
    run_config = {"ops": {step_of("model_release"): {"config": {"canary_percent": 200}}}}
    result = dg.materialize(
        [asset_of("trained_model"), NEXT],
        run_config=run_config,
        resources=dict.fromkeys(("catalog", "object_store", "tracking"), object())
        | {"records": dg.mem_io_manager},
        raise_on_error=False,
    )
    (failure,) = (event for event in result.all_events if event.is_step_failure)
    assert failure.step_key == step_of("trained_model")
    assert "canary_percent is 200, and must be from 0 to 100." in str(failure.event_specific_data)


@dg.asset(key=["classifier", "model_release"], deps=[dg.AssetKey(["classifier", "trained_model"])])
def NEXT(config: ReleaseRequest) -> None:  # noqa: N802 - stands in for the last step
    raise AssertionError("It ran.")
