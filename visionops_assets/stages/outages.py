"""What a sensor does while a server is down: it skips, and says which one."""

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import dagster as dg

from visionops_assets.errors import ServerUnreachableError

ADVICE = "On one machine, `visionops up` starts it."

Given = ParamSpec("Given")
Told = TypeVar("Told")


def skip_without_servers(
    evaluate: Callable[Given, Told],
) -> Callable[Given, Told | dg.SkipReason]:
    """Make a sensor's function skip, with one sentence, when a server does not answer.

    To be applied below `dg.sensor`. The cursor stays, so the next tick begins where this one did.
    That a server is down is told by the checks of `serving_health` and by alerts, not by ticks.
    """

    @functools.wraps(evaluate)
    def skipping(*args: Given.args, **kwargs: Given.kwargs) -> Told | dg.SkipReason:
        try:
            return evaluate(*args, **kwargs)
        except ServerUnreachableError as error:
            return dg.SkipReason(f"{error} {ADVICE}")

    return skipping
