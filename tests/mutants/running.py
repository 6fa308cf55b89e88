"""Copies of the working tree in which one change at a time is made and its tests are run."""

import multiprocessing
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from tests.mutants.choosing import ROOT

PYTEST = (
    # The plugin of schemathesis takes longer to import than most tests do, and is for others.
    *("-q", "-x", "-p", "no:cacheprovider", "-p", "no:schemathesis", "--no-header", "--tb=no"),
    *("-m", "not integration", "--timeout=0", "-p", "tests.mutants.profile"),
    *("-W", "ignore:Module already imported:pytest.PytestAssertRewriteWarning"),
)
# Endless loops are known by their CPU time, and a whole run has a limit of its own: one test may
# take long on a busy machine.
CPU_LIMIT_S = 120
OURS = {"tests", "visionops_assets", "triton_models"}
Verdict = Literal["noticed", "timed out", "survived", "no test"]

# Importing these takes longer than most tests: one process does, and each test run is a fork of it.
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(
    [
        *("pytest", "hypothesis.strategies", "numpy", "pandas", "scipy.stats", "cv2", "av"),
        *("torch", "dagster", "fastapi", "sqlalchemy", "httpx", "typer", "pydantic_settings"),
    ]
)


class Tree:
    """A copy of the working tree, whose code is imported before what is installed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
        names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        for name in filter(None, names.split("\0")):
            if (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, folder / name)
        for environment in (".venv", ".venv-triton"):
            (folder / environment).symlink_to(ROOT / environment)

    def verdict_on(
        self, path: str, changed: bytes, tests: Sequence[str], limit_s: float
    ) -> Verdict:
        """Run tests with one file changed, and say whether they noticed.

        A change may make a loop endless, which is seen by its CPU time, or a wait, which is seen by
        `limit_s`.
        """
        if not tests:
            return "no test"
        with self._changed(path, changed):
            status = self.run(tests, limit_s, cpu_limit_s=CPU_LIMIT_S)
        if status in {None, -signal.SIGXCPU}:
            return "timed out"
        return "noticed" if status else "survived"

    def run(
        self,
        tests: Sequence[str],
        limit_s: float,
        *options: str,
        cpu_limit_s: int | None = None,
        log: str = os.devnull,
    ) -> int | None:
        """Run tests; return 0 if they pass, and None if they take longer than `limit_s`.

        What takes more CPU time than its limit ends by the signal SIGXCPU, as a negative number.
        What pytest prints goes to `log`.
        """
        words = [*PYTEST, *options, *tests]
        arguments = (str(self._folder), words, cpu_limit_s, log)
        process = _FORKS.Process(target=_run_pytest, args=arguments)
        process.start()
        process.join(limit_s)
        status = process.exitcode
        if status is None and process.pid is not None:
            os.killpg(process.pid, signal.SIGKILL)
            process.join()
        return status

    @contextmanager
    def _changed(self, path: str, changed: bytes) -> Iterator[None]:
        file = self._folder / path
        original = file.read_bytes()
        try:
            self._write(file, changed)
            yield
        finally:
            self._write(file, original)

    def _write(self, file: Path, data: bytes) -> None:
        """Write a module; what Python compiled of it tells by its second and size alone."""
        file.write_bytes(data)
        for compiled in (file.parent / "__pycache__").glob(f"{file.stem}.*"):
            compiled.unlink()


def _run_pytest(folder: str, words: list[str], cpu_limit_s: int | None, log: str) -> None:
    """Become a run of pytest in a tree: of ours nothing stays imported, nor can be from elsewhere.

    Children of tests find the tree by PYTHONPATH; those of the sandbox get its folder from it.
    """
    os.setpgid(0, 0)
    if cpu_limit_s is not None:
        resource.setrlimit(resource.RLIMIT_CPU, (cpu_limit_s, resource.RLIM_INFINITY))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    printed = os.open(log, os.O_WRONLY | os.O_CREAT, 0o600)
    for stream in (1, 2):
        os.dup2(printed, stream)
    os.chdir(folder)
    os.environ["PYTHONPATH"] = folder
    # Else all would be compiled each time.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    sys.path[:] = [folder, *(path for path in sys.path if path not in {"", str(ROOT), folder})]
    for name in [name for name in sys.modules if name.partition(".")[0] in OURS]:
        del sys.modules[name]
    import pytest  # noqa: PLC0415 - as the tree sees it

    sys.exit(int(pytest.main(words)))
