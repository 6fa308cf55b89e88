"""Which processes are killed, where and in what order: drawn from a seed. Pure."""

import random
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from visionops_assets.crash_points import CrashPoint
from visionops_assets.roster import ours
from visionops_assets.stack import dagster, postgres, seaweedfs, tansu

RUN_WORKER = "run-worker"
"""The process of one Dagster run: no server of the stack, but a fork of the fork server's."""
FORK_SERVER = "fork-server"
"""The code server's child that has the definitions imported, and forks for each run."""

POINTS_BY_PROCESS: dict[str, tuple[CrashPoint, ...]] = {
    ours.INGEST.name: tuple(p for p in CrashPoint if p.startswith(("upload.", "resumable."))),
    ours.RELAY.name: tuple(p for p in CrashPoint if p.startswith("relay.")),
    ours.SWEEP.name: tuple(p for p in CrashPoint if p.startswith("sweep.")),
    dagster.CODE: tuple(p for p in CrashPoint if p.startswith("sensor.")),
    RUN_WORKER: tuple(p for p in CrashPoint if p.startswith(("batch.", "frames."))),
    FORK_SERVER: (),
    dagster.DAEMON: (),
    tansu.NAME: (),
    seaweedfs.NAME: (),
    postgres.NAME: (),
}
"""Every process that is killed, and the crash points that it passes."""

MAX_KILLS_A_WAVE = 3
STOPS_IN_KILLS = 0.2
"""How often a process is stopped, for each time that it is killed: stops last much longer, and were
there as many, some server that all need would always be away."""


@dataclass(frozen=True)
class Kill:
    """One kill: at a crash point, or without one, wherever the process happens to be.

    With `only_stops` the process is stopped for a while, and then goes on if it was not restarted.
    """

    process: str
    point: CrashPoint | None = None
    only_stops: bool = False

    @property
    def target(self) -> str:
        """Name it in reports."""
        return self.point.value if self.point else self.process + " stopped" * self.only_stops


@dataclass(frozen=True)
class Wave:
    """Kills of different processes at one moment, `pause_s` after the wave before."""

    pause_s: float
    kills: tuple[Kill, ...]


def every_kill() -> list[Kill]:
    """Return each process once killed and once stopped, and each crash point once."""
    at_points = [Kill(process, p) for process, points in POINTS_BY_PROCESS.items() for p in points]
    anywhere = [Kill(p, only_stops=stops) for p in POINTS_BY_PROCESS for stops in (False, True)]
    return anywhere + at_points


def draw_waves(seed: int, kills: int, calm_s: float) -> list[Wave]:
    """Draw a schedule of so many kills, each possible one at least once.

    They come in waves, since what fails together must recover together, with a calm of `calm_s`
    seconds on average in between, since a system that is never let be does no work.

    Raises:
        ValueError: `kills` is too small for that.
    """
    rng = random.Random(seed)
    every = every_kill()
    drawn = list(every)
    if kills < len(drawn):
        raise ValueError(f"There are {len(drawn)} ways to kill; {kills} kills are too few.")
    processes = list(POINTS_BY_PROCESS)
    while len(drawn) < kills:
        process = rng.choice(processes)
        ways = [kill for kill in every if kill.process == process]
        weights = [STOPS_IN_KILLS if kill.only_stops else 1.0 for kill in ways]
        drawn += rng.choices(ways, weights)
    rng.shuffle(drawn)
    return list(_in_waves(rng, drawn, calm_s))


def _in_waves(rng: random.Random, kills: list[Kill], calm_s: float) -> Iterator[Wave]:
    """Group kills in their order; no wave holds two of one process."""
    waiting = deque(kills)
    while waiting:
        size = rng.randint(1, MAX_KILLS_A_WAVE)
        wave: list[Kill] = []
        while waiting and len(wave) < size and waiting[0].process not in {k.process for k in wave}:
            wave.append(waiting.popleft())
        yield Wave(rng.uniform(0.5, 1.5) * calm_s, tuple(wave))
