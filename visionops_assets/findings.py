"""The findings of checks: of a machine by `visionops doctor`, of a cluster by `preflight`."""

from dataclasses import dataclass
from enum import StrEnum


class Grade(StrEnum):
    """The grade of a finding."""

    OK = "ok"
    WARN = "warn"
    BAD = "bad"


@dataclass(frozen=True)
class Finding:
    """One line of a check: what it is about, how bad it is, what was found, what to do."""

    subject: str
    grade: Grade
    finding: str
    advice: str = ""
