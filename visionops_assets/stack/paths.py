"""The places of the stack's files, below the state folder."""

import os
from dataclasses import dataclass
from pathlib import Path

_ROTATE_BYTES = 20 * 1024**2


@dataclass(frozen=True)
class Paths:
    """The files of one stack."""

    home: Path

    @property
    def run(self) -> Path:
        """Name the folder of files that exist only while the stack runs."""
        return self.home / "run"

    @property
    def lock(self) -> Path:
        """Name the lock that the supervisor holds while it lives."""
        return self.run / "supervisor.lock"

    @property
    def supervisor(self) -> Path:
        """Name the record of the supervisor's process."""
        return self.run / "supervisor.json"

    @property
    def state(self) -> Path:
        """Name the file in which the supervisor describes its servers."""
        return self.run / "state.json"

    @property
    def dagster(self) -> Path:
        """Name the DAGSTER_HOME of the stack's own processes."""
        return self.run / "dagster"

    @property
    def attached_dagster(self) -> Path:
        """Name the DAGSTER_HOME for `dagster dev` beside the stack."""
        return self.home / "dagster"

    def pid(self, server: str) -> Path:
        """Name the record of a server's process."""
        return self.run / f"{server}.pid"

    def log(self, server: str) -> Path:
        """Name the file that takes a server's output."""
        return self.home / "logs" / f"{server}.log"

    def create(self) -> None:
        """Make the folders. They are private: they will hold credentials, and data."""
        self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        for folder in (self.run, self.home / "logs"):
            folder.mkdir(exist_ok=True, mode=0o700)

    def rotate_log(self, server: str) -> Path:
        """Put a log of more than 20 MB aside as `<server>.log.1`; return the file to append to."""
        log = self.log(server)
        if log.exists() and log.stat().st_size > _ROTATE_BYTES:
            log.replace(log.with_suffix(".log.1"))
        return log

    def cut_log(self, server: str) -> None:
        """Put the end of a log of more than 20 MB aside while its server writes on, and empty it.

        Servers append, so they go on at its new end. What comes between the copy and the cut is
        lost: a server that writes faster than a disk must not make the copy endless, and a pipe
        would end the servers with their supervisor. It is emptied even without room for the copy:
        the bound holds.
        """
        log = self.log(server)
        if not log.exists() or log.stat().st_size <= _ROTATE_BYTES:
            return
        draft = log.with_suffix(".log.draft")
        try:
            with log.open("rb") as full, draft.open("wb") as kept:
                full.seek(-_ROTATE_BYTES, os.SEEK_END)
                kept.write(full.read(_ROTATE_BYTES))
            draft.replace(log.with_suffix(".log.1"))
        except OSError:
            draft.unlink(missing_ok=True)
        os.truncate(log, 0)


def tail(log: Path, lines: int) -> list[str]:
    """Return the last lines of a log, from its last 256 kB; none if there is no log."""
    if not log.exists():
        return []
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 256 * 1024))
        return file.read().decode(errors="replace").splitlines()[-lines:]


def write_private(path: Path, content: str) -> None:
    """Replace a file in one step; only its owner can read it."""
    path.parent.mkdir(exist_ok=True, mode=0o700)
    draft = path.with_name(f"{path.name}.draft")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(content)
    draft.replace(path)
