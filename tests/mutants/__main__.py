"""`make mutants`: changes that are listed, and drawn ones, and which of them no test noticed."""

import argparse
import itertools
import json
import random
import sys
import tempfile
import time
import tomllib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple

from tests.mutants.changes import Mutant, changes
from tests.mutants.choosing import ROOT, changed_lines, nearest_tests, pure_modules
from tests.mutants.running import Tree, Verdict

NEEDED_SHARE = 0.85
MIN_LIMIT_S = 900.0
LINES_SHOWN = 20
TOLD_EVERY = 25
MAX_FAILED = 10
LISTED = Path(__file__).parent / "listed.toml"


class Trial(NamedTuple):
    """A change and the tests that are to notice it."""

    mutant: Mutant
    tests: list[str]


def listed() -> list[Trial]:
    """Read the changes that went unnoticed once.

    Raises:
        ValueError: the code has no such place any more, or several.
    """
    trials = []
    for row in tomllib.loads(LISTED.read_text())["mutant"]:
        source, was = (ROOT / row["path"]).read_bytes(), row["was"].encode()
        if source.count(was) != 1:
            raise ValueError(f"{row['path']} has {source.count(was)} places with:\n{row['was']}")
        start = source.index(was)
        line = source[:start].count(b"\n") + 1
        mutant = Mutant(row["path"], line, start, start + len(was), row["was"], row["now"])
        trials.append(Trial(mutant, row.get("tests") or nearest_tests(row["path"])))
    return trials


def drawn(count: int, seed: int, base: str) -> list[Trial]:
    """Draw changes: of lines that the branch changed, up to half, and of the pure modules."""
    random_ = random.Random(seed)
    of_branch = [
        mutant
        for path, lines in sorted(changed_lines(base).items())
        for mutant in changes(path, (ROOT / path).read_bytes())
        if mutant.line in lines
    ]
    pure = [m for path in pure_modules() for m in changes(path, (ROOT / path).read_bytes())]
    chosen = random_.sample(of_branch, min(count // 2, len(of_branch)))
    others = [mutant for mutant in pure if mutant not in set(chosen)]
    chosen += random_.sample(others, min(count - len(chosen), len(others)))
    return [Trial(mutant, nearest_tests(mutant.path)) for mutant in chosen]


def tried(trials: Sequence[Trial], trees: Sequence[Tree], limit_s: float) -> list[Verdict]:
    """Run all trials, one per tree at a time and each up to a time, and print what survives."""
    free: SimpleQueue[Tree] = SimpleQueue()
    for tree in trees:
        free.put(tree)

    counted = itertools.count(1)

    def verdict_on(trial: Trial) -> Verdict:
        path, _, start, end, _, now = trial.mutant
        source = (ROOT / path).read_bytes()
        tree = free.get()
        try:
            changed = source[:start] + now.encode() + source[end:]
            found = tree.verdict_on(path, changed, trial.tests, limit_s)
        finally:
            free.put(tree)
        if found in {"survived", "no test"}:
            say(f"{found}: {describe(trial.mutant)}")
        if (tried := next(counted)) % TOLD_EVERY == 0:
            say(f"{tried} of {len(trials)} tried")
        return found

    with ThreadPoolExecutor(len(trees)) as pool:
        return list(pool.map(verdict_on, trials))


def wrong_without_a_change(tree: Tree, tests: list[str], jobs: int, log: Path) -> list[str]:
    """Run tests of unchanged code; return what they print if some fail, together and then alone.

    On a busy machine a few fail that measure time or memory.
    """
    together = (f"--numprocesses={jobs}", "--dist=loadfile", f"--maxfail={MAX_FAILED}")
    if tree.run(tests, 3_600, *together, log=str(log)) == 0:
        return []
    printed = log.read_text().splitlines()
    failed = failed_tests(printed)
    alone = 0 < len(failed) < MAX_FAILED and tree.run(failed, 3_600, log=str(log)) == 0
    return [] if alone else printed


def failed_tests(printed: Sequence[str]) -> list[str]:
    """Return the tests that pytest says failed."""
    failed = (line for line in printed if line.startswith("FAILED "))
    return [line.removeprefix("FAILED ").partition(" - ")[0] for line in failed]


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def describe(mutant: Mutant) -> str:
    """Return a change as one line: where, the text before, the text after."""
    was, now = (" ".join(text.split()) for text in (mutant.was, mutant.now))
    return f"{mutant.path}:{mutant.line}: {was}  ->  {now}"


@dataclass(frozen=True)
class Outcome:
    """The number of changes that were tried, the share that was noticed (0..1), and the others."""

    tried: int
    share: float
    survivors: Sequence[Mapping[str, object]]


def outcome_of(trials: Sequence[Trial], verdicts: Sequence[Verdict]) -> Outcome:
    """Count the verdicts on some trials."""
    survivors = [
        {"change": describe(trial.mutant), "verdict": verdict, "tests": trial.tests}
        for trial, verdict in zip(trials, verdicts, strict=True)
        if verdict in {"survived", "no test"}
    ]
    share = 1 - len(survivors) / len(trials) if trials else 1.0
    return Outcome(len(trials), share, survivors)


def main() -> int:
    """Try the changes; return 0 if enough were noticed."""
    options = argparse.ArgumentParser(prog="make mutants")
    options.add_argument("--count", type=int, default=300, help="changes to draw")
    options.add_argument("--seed", type=int, default=None, help="of the draw; printed")
    options.add_argument("--base", default="main", help="the branch this one left")
    options.add_argument("--jobs", type=int, default=2, help="test runs at a time")
    options.add_argument("--into", type=Path, default=ROOT / "build" / "mutants.json")
    given = options.parse_args()
    seed = random.SystemRandom().randrange(10**6) if given.seed is None else given.seed
    known, new = listed(), drawn(given.count, seed, given.base)
    say(f"SEED={seed}: {len(known)} listed and {len(new)} drawn changes")
    started_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        trees = [Tree(Path(folder) / str(number)) for number in range(given.jobs)]
        needed = sorted({test for trial in [*known, *new] for test in trial.tests})
        said = wrong_without_a_change(trees[0], needed, given.jobs, Path(folder) / "unchanged.log")
        if said:
            say("The tests fail without any change: mend them first (`make test-unit`).")
            say("\n".join(said[-LINES_SHOWN:]))
            return 2
        # Some of the tests take no longer than all of them did.
        limit_s = max(MIN_LIMIT_S, time.monotonic() - started_s)
        verdicts = tried([*known, *new], trees, limit_s)
    of_known = outcome_of(known, verdicts[: len(known)])
    of_new = outcome_of(new, verdicts[len(known) :])
    found = {
        "seed": seed,
        "seconds": round(time.monotonic() - started_s),
        "listed": asdict(of_known),
        "drawn": asdict(of_new),
    }
    given.into.parent.mkdir(exist_ok=True)
    given.into.write_text(json.dumps(found, indent=2) + "\n")
    say(f"Noticed: {of_known.share:.1%} of the listed and {of_new.share:.1%} of the drawn changes.")
    return 0 if of_known.share == 1 and of_new.share >= NEEDED_SHARE else 1


if __name__ == "__main__":
    raise SystemExit(main())
