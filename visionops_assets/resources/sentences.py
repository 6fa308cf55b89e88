"""Lets sensors and assets say what was wrong in one sentence, without a stack trace."""

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec, TypeVar, cast

import dagster as dg

from visionops_assets.errors import ServerUnreachableError, VisionOpsError
from visionops_assets.redaction import redacted

ADVICE = "On one machine, `visionops up` starts it."

Given = ParamSpec("Given")
Told = TypeVar("Told")


def skip_without_servers(
    evaluate: Callable[Given, Told],
) -> Callable[Given, Told | dg.SkipReason]:
    """Make a sensor's function skip while a server does not answer, and name that server.

    It goes below `dg.sensor`. The cursor stays, so the next tick begins where this one did. The
    checks of `serving_health` and the alerts report a server that is down; ticks do not.
    """

    @functools.wraps(evaluate)
    def skipping(*args: Given.args, **kwargs: Given.kwargs) -> Told | dg.SkipReason:
        try:
            return evaluate(*args, **kwargs)
        except ServerUnreachableError as error:
            return dg.SkipReason(_sentence(error))

    return skipping


def fail_in_words(compute: Callable[Given, Told]) -> Callable[Given, Told]:
    """Make a function of an asset or an IO manager fail with the sentence of our error.

    It goes below `dg.asset`. Dagster shows the sentence first, and below it only where it was
    raised, without the libraries' traces. Any other exception passes as it is.
    """
    if inspect.isgeneratorfunction(compute):

        @functools.wraps(compute)
        def yielding(*args: Given.args, **kwargs: Given.kwargs) -> Iterator[object]:
            with _in_words():
                yield from compute(*args, **kwargs)

        return cast("Callable[Given, Told]", yielding)

    @functools.wraps(compute)
    def failing(*args: Given.args, **kwargs: Given.kwargs) -> Told:
        with _in_words():
            return compute(*args, **kwargs)

    return failing


@contextmanager
def _in_words() -> Iterator[None]:
    try:
        yield
    except VisionOpsError as error:
        raise dg.Failure(_sentence(error), {"code": error.code}) from None


def _sentence(error: VisionOpsError) -> str:
    text = redacted(str(error))
    return f"{text} {ADVICE}" if isinstance(error, ServerUnreachableError) else text
