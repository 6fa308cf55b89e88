"""Runs a demo stage by stage: each is timed, shown and waited for."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from visionops_assets.demo.clients import PublicApi
from visionops_assets.demo.screen import Screen
from visionops_assets.errors import VisionOpsError
from visionops_assets.settings import Settings

STAGE_TIMEOUT_S = 300.0
POLL_S = 1.0

_Found = TypeVar("_Found")


@dataclass
class Stages:
    """The stages of one demo, and how long each of them took."""

    settings: Settings
    api: PublicApi
    screen: Screen
    timeout_s: float = STAGE_TIMEOUT_S
    seconds_by_stage: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[Callable[[str], None]]:
        """Show and time a stage. Call the function that it yields with the result."""
        said: list[str] = []
        started_s = time.monotonic()
        self.screen.begin(name)
        summary: str | None = None
        try:
            yield said.append
            summary = said[-1] if said else ""
        finally:
            seconds = time.monotonic() - started_s
            self.screen.end(name, seconds, summary)
            self.seconds_by_stage[name] = round(seconds, 2)

    def until(self, stage: str, look: Callable[[], _Found | None]) -> _Found:
        """Look repeatedly until there is something, and return that.

        Raises:
            VisionOpsError: there is still nothing after `timeout_s`; the message says where to
                look.
        """
        deadline = time.monotonic() + self.timeout_s
        while time.monotonic() < deadline:
            found = look()
            if found is not None:
                return found
            time.sleep(POLL_S)
        failed = self.api.failed_runs()
        where = "Failed runs: " + ", ".join(failed) if failed else "No run has failed."
        raise VisionOpsError(
            f"The stage {stage!r} did not end within {self.timeout_s:.0f} s. {where} "
            f"See {self.settings.dagster_url}/runs and `visionops status`."
        )
