"""One run: a stack of its own, load and kills, rest, then the check of every invariant."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from uuid import UUID

from obstore.exceptions import BaseError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tests.chaos.cutting import cut_log
from tests.chaos.disk import Disk, small_disk
from tests.chaos.invariants import Harm, Violation, check_all
from tests.chaos.killing import Killer
from tests.chaos.load import Load
from tests.chaos.observing import observe, unfinished
from tests.chaos.records import KillRecord, Place
from tests.chaos.report import Report, summarise
from tests.chaos.schedule import draw_waves
from tests.stacks import key_for, running_stack
from visionops_assets.contracts import Scope
from visionops_assets.errors import ServerUnreachableError, VisionOpsError
from visionops_assets.roster import ours
from visionops_assets.settings import Settings
from visionops_assets.stack import dagster, seaweedfs

SERVERS = (ours.INGEST.name, ours.RELAY.name, ours.SWEEP.name, dagster.WEBSERVER, dagster.DAEMON)
# So short that what they bound happens within a run.
SHORT = {
    "BATCH_MAX_MESSAGES": "200",
    "RESUMABLE_EXPIRY_S": "60",
    "SWEEP_INTERVAL_S": "2",
    "UPLOAD_LEASE_S": "5",
}
SMALL_FRAMES = {"frames": {"size_px": 16}}
POLL_S = 0.5
LOAD_MARGIN = 1.5
"""Clients wait while ingest is down; they send so much faster than the kills would need."""


@dataclass(frozen=True)
class Plan:
    """What is asked of a run.

    A process is killed `settled_s` after it was ready again, at the earliest; one that takes
    `patience_s` for that ends the run. One that is only stopped goes on after `stopped_s`, longer
    than the supervisor's patience with ingest. The disk of the store is full for `full_s`, so many
    times as `fills` says. The log of the media topic is cut `cuts` times.
    """

    seed: int
    uploads: int
    kills: int
    calm_s: float = 7.0
    settled_s: float = 5.0
    stopped_s: float = 75.0
    fills: int = 0
    full_s: float = 45.0
    cuts: int = 0
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
    if plan.cuts:
        environment["ANNOUNCE_AGAIN_AFTER_S"] = "60"
    with (
        small_disk(home / seaweedfs.NAME) if plan.fills else nullcontext() as disk,
        running_stack(
            home, environment, "--only", ",".join(SERVERS), model=SMALL_FRAMES
        ) as settings,
    ):
        if plan.fills and disk is None:
            console.print("No disk is filled: only root can mount one.")
        return _Run(plan, settings, armed, console, disk).outcome()


class _Run:
    def __init__(
        self, plan: Plan, settings: Settings, armed: Path, console: Console, disk: Disk | None
    ) -> None:
        self._plan = plan
        self._disk = disk
        self._fills, self._cuts = 0, 0
        self._lay: set[tuple[Place, UUID]] = set()
        """What was cut from the log, and where it lay."""
        self._over = Event()
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
            stopped_s=plan.stopped_s,
            patience_s=plan.patience_s,
            on_kill=self._show_kill,
        )
        self._started_s = time.monotonic()

    def outcome(self) -> Outcome:
        self._kill_under_load()
        self._say(f"Load is over: {dict(self._load.outcomes)}")
        self._rest()
        state = observe(self._settings)
        state = replace(state, queued_events=tuple(self._lay.union(state.queued_events)))
        violations = [
            *check_all(self._load.answers, state),
            *(Violation(Harm.WRONG, "an answer", text) for text in self._load.surprises),
        ]
        report = summarise(
            self._plan.seed, self._load.answers, self._killer.records, state, violations
        )
        report = replace(report, disks_filled=self._fills, logs_cut=self._cuts)
        return Outcome(report, violations)

    def _kill_under_load(self) -> None:
        """Return once enough was killed and enough acknowledged, whichever takes longer."""
        with ThreadPoolExecutor(2) as pool, self._progress() as progress:
            uploads = progress.add_task("uploads", total=self._plan.uploads)
            kills = progress.add_task("kills", total=self._plan.kills)
            self._load.start()
            spoiling = pool.submit(self._spoil)
            killing = pool.submit(self._killer.run, self._waves)
            try:
                while (
                    not (killing.done() and spoiling.done())
                    or self._load.acknowledged < self._plan.uploads
                ):
                    if killing.done():
                        killing.result()
                    acknowledged = self._load.acknowledged
                    if acknowledged >= self._plan.uploads:
                        self._load.slow_down()
                    progress.update(uploads, completed=acknowledged)
                    progress.update(kills, completed=len(self._killer.records))
                    time.sleep(POLL_S)
                killing.result()
                spoiling.result()
            finally:
                self._over.set()
                self._killer.stop()
                self._load.stop()

    def _spoil(self) -> None:
        """Fill the disk of the store and cut the log, spread over the time that the kills take."""
        strokes = [self._fill_disk] * (self._plan.fills if self._disk else 0)
        strokes += [self._cut_log] * self._plan.cuts
        pause_s = sum(wave.pause_s for wave in self._waves) / (len(strokes) + 1)
        for stroke in strokes:
            self._over.wait(pause_s)
            stroke()

    def _fill_disk(self) -> None:
        if self._disk is None:
            return
        self._disk.fill()
        self._say(f"Filled the disk of the store; {self._load.acknowledged} acknowledged")
        self._over.wait(self._plan.full_s)
        self._disk.empty()
        self._fills += 1
        self._say(f"The disk has room again; {self._load.acknowledged} acknowledged")

    def _cut_log(self) -> None:
        """Cut it once all that it needs answers: what else is killed may hold that up."""
        while not self._over.is_set():
            try:
                self._lay.update(cut_log(self._settings))
            except (VisionOpsError, BaseError):
                self._over.wait(POLL_S)
            else:
                self._cuts += 1
                self._say(f"Cut the log; {self._load.acknowledged} acknowledged")
                return

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
        self._say(f"Struck {record.target}; {self._load.acknowledged} acknowledged")

    def _say(self, text: str) -> None:
        line = f"{time.monotonic() - self._started_s:6.1f} s  {text}"
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)
