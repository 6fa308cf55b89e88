"""Requests of people to a run, as its configuration, and their checks before anything runs.

Dagster checks the types of a run's configuration, and no bounds. Those of pydantic would end in a
stack trace, and only at the step that they are for: a wrong share of the canary after a training of
hours. So a request checks itself in words, and the first step of a job those of all its steps.
"""

from collections.abc import Mapping
from typing import Any, get_args

import dagster as dg

from visionops_assets.contracts import Network
from visionops_assets.errors import InvalidRequestError
from visionops_assets.models.naming import asset_of

NETWORKS: tuple[str, ...] = get_args(Network)
MAX_STEPS = 1_000_000
MAX_LEARNING_RATE = 1.0
ALL_TRAFFIC_PERCENT = 100


class Request(dg.Config):
    """The configuration of an asset. Its fields have no bounds of pydantic: `check` has."""

    def check(self) -> None:
        """Refuse values that nothing can be done with.

        Raises:
            InvalidRequestError: a value is out of its range; the message names the range.
        """
        raise NotImplementedError


class TrainingRequest(Request):
    """The snapshot to train on, the newest by default, and changes of the recipe.

    `steps` is the largest number of steps, `learning_rate` the peak of the schedule. A field that
    is left out is taken from the settings. With `only_if_newest`, nothing is trained on a snapshot
    that is no longer the newest.
    """

    snapshot_id: str | None = None
    only_if_newest: bool = False
    steps: int | None = None
    learning_rate: float | None = None
    network: str | None = None

    def check(self) -> None:
        """See `Request`."""
        if self.steps is not None and not 1 <= self.steps <= MAX_STEPS:
            raise InvalidRequestError(
                f"steps is {self.steps}, and must be from 1 to {MAX_STEPS:,}."
            )
        rate = self.learning_rate
        if rate is not None and not 0 < rate <= MAX_LEARNING_RATE:
            raise InvalidRequestError(
                f"learning_rate is {rate:g}, and must be above 0 and at most {MAX_LEARNING_RATE:g}."
            )
        if self.network is not None and self.network not in NETWORKS:
            raise InvalidRequestError(
                f"There is no network {self.network!r}: choose one of {', '.join(NETWORKS)}."
            )


class ReleaseRequest(Request):
    """How a version becomes champion.

    Above 0, `canary_percent` is the share of the traffic on which it is tried first, if there is a
    champion; it is then promoted or ended by rule.
    """

    canary_percent: float = 0.0

    def check(self) -> None:
        """See `Request`."""
        if not 0 <= self.canary_percent <= ALL_TRAFFIC_PERCENT:
            raise InvalidRequestError(
                f"canary_percent is {self.canary_percent:g}, and must be from 0 to "
                f"{ALL_TRAFFIC_PERCENT}."
            )


class EngineRequest(Request):
    """The engines to build: of a version, 0 for the champion.

    `again` builds those anew that differ from PyTorch, or that a server refused.
    """

    model_version: int = 0
    again: bool = False

    def check(self) -> None:
        """See `Request`."""
        if self.model_version < 0:
            raise InvalidRequestError(
                f"model_version is {self.model_version}, and must be that of a version, or 0 for "
                "the champion."
            )


REQUEST_OF: Mapping[str, type[Request]] = {
    "trained_model": TrainingRequest,
    "model_release": ReleaseRequest,
    "engine": EngineRequest,
}
"""The request of each asset that takes one, by its name without the model."""


def check_run(run_config: Mapping[str, Any]) -> None:
    """Check the requests of all steps of a run.

    A value that is to come from the environment (`{"env": ...}`) is left to its own step.

    Raises:
        InvalidRequestError: a value is out of its range.
    """
    for step, given_to_step in (run_config.get("ops") or {}).items():
        request = REQUEST_OF.get(asset_of(step))
        given = (given_to_step or {}).get("config") or {}
        if request is None:
            continue
        values = {field: value for field, value in given.items() if not isinstance(value, Mapping)}
        request(**values).check()
