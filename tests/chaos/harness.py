"""One run: a stack of its own, load and kills, rest, then the check of every invariant."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tests.chaos.invariants import Harm, Violation, check_all
from tests.chaos.killing import Killer
from tests.chaos.load import Load
from tests.chaos.observing import observe, unfinished
from tests.chaos.records import KillRecord
from tests.chaos.report import Report, summarise
from tests.chaos.schedule import draw_waves
from tests.stacks import key_for, running_stack
from visionops_assets.contracts import Scope
from visionops_assets.errors import ServerUnreachableError
from visionops_assets.settings import Settings
from visionops_assets.stack import dagster, services

SERVERS = (services.INGEST, services.RELAY, services.SWEEP, dagster.WEBSERVER, dagster.DAEMON)
# So short that what they bound happens within a run.
SHORT = {
    "BATCH_MAX_MESSAGES": "200",
    "FRAME_SIZE_PX": "16",
    "RESUMABLE_EXPIRY_S": "60",
    "SWEEP_INTERVAL_S": "2",
    "UPLOAD_LEASE_S": "5",
}
POLL_S = 0.5
LOAD_MARGIN = 1.5
"""Clients wait while ingest is down; they send so much faster than the kills would need."""


@dataclass(frozen=True)
class Plan:
    """What is asked of a run.

    A process is killed `settled_s` after it was ready again, at the earliest; one that takes
    `patience_s` for that ends the run.
    """

    seed: int
    uploads: int
    kills: int
    calm_s: float = 7.0
    settled_s: float = 5.0
    batch_wait_s: float = 20.0
    patience_s: float = 300.0
    converge_within_s: float = 1_800.0


@dataclass(frozen=True)
class Outcome:
    """The figures, and what does not hold."""

    report: Report
    violations: Sequence[Violation]


def run(plan: Plan, home: Path, console: Console) -> Outcome:
    """Run the whole of it in `home`.

    Raises:
        ChaosError: something could not be killed, so that the run says nothing.
    """
    armed = home / "crash-points"
    armed.mkdir(parents=True)
    environment = SHORT | {
        "BATCH_MAX_WAIT_S": str(plan.batch_wait_s),
        "CRASH_POINTS_DIR": str(armed),
        # Small files in parts, and what a killed client left open counts for hours.
        "RESUMABLE_MIN_PART_BYTES": "1",
        "RESUMABLE_MAX_OPEN": "100000",
    }
    with running_stack(home, environment, "--only", ",".join(SERVERS)) as settings:
        return _Run(plan, settings, armed, console).outcome()


class _Run:
    def __init__(self, plan: Plan, settings: Settings, armed: Path, console: Console) -> None:
        self._plan = plan
        self._settings = settings
        self._console = console
        self._waves = draw_waves(plan.seed, plan.kills, plan.calm_s)
        kills_take_s = sum(wave.pause_s for wave in self._waves)
        self._load = Load(
            settings.ingest_url,
            key_for(Scope.INGEST),
            plan.seed,
            uploads_per_s=LOAD_MARGIN * plan.uploads / kills_take_s,
        )
        self._killer = Killer(
            settings.home,
            armed,
            settled_s=plan.settled_s,
            patience_s=plan.patience_s,
            on_kill=self._show_kill,
        )
        self._started_s = time.monotonic()

    def outcome(self) -> Outcome:
        self._kill_under_load()
        self._say(f"Load is over: {dict(self._load.outcomes)}")
        self._rest()
        state = observe(self._settings)
        violations = [
            *check_all(self._load.answers, state),
            *(Violation(Harm.WRONG, "an answer", text) for text in self._load.surprises),
        ]
        report = summarise(
            self._plan.seed, self._load.answers, self._killer.records, state, violations
        )
        return Outcome(report, violations)

    def _kill_under_load(self) -> None:
        """Return once enough was killed and enough acknowledged, whichever takes longer."""
        with ThreadPoolExecutor(1) as one, self._progress() as progress:
            uploads = progress.add_task("uploads", total=self._plan.uploads)
            kills = progress.add_task("kills", total=self._plan.kills)
            self._load.start()
            killing = one.submit(self._killer.run, self._waves)
            try:
                while not killing.done() or self._load.acknowledged < self._plan.uploads:
                    if killing.done():
                        killing.result()
                    acknowledged = self._load.acknowledged
                    if acknowledged >= self._plan.uploads:
                        self._load.slow_down()
                    progress.update(uploads, completed=acknowledged)
                    progress.update(kills, completed=len(self._killer.records))
                    time.sleep(POLL_S)
                killing.result()
            finally:
                self._killer.stop()
                self._load.stop()

    def _rest(self) -> None:
        """Wait until nothing is under way, or for so long as is allowed."""
        deadline = time.monotonic() + self._plan.converge_within_s
        said = ""
        while time.monotonic() < deadline:
            try:
                under_way = unfinished()
            except ServerUnreachableError as error:
                under_way = {str(error): 1}
            if not under_way:
                break
            if str(under_way) != said:
                said = str(under_way)
                self._say(f"Waiting for {said}")
            time.sleep(POLL_S)
        # The sweep deletes objects before it forgets their rows, but parts only in its next pass.
        time.sleep(2 * self._settings.upload_lease_s)

    def _progress(self) -> Progress:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        return Progress(*columns, TimeElapsedColumn(), console=self._console)

    def _show_kill(self, record: KillRecord) -> None:
        self._say(f"Killed {record.target}; {self._load.acknowledged} acknowledged")

    def _say(self, text: str) -> None:
        line = f"{time.monotonic() - self._started_s:6.1f} s  {text}"
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)
