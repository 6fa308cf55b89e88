"""The facts about a champion, as plain values for the arbiter."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Stream:
    """The evidence of all labels of one release.

    `log_evidence` is the detector's after the last label, None without labels; `alarm_at` is the
    number of labels at which it reached `log_limit` first, or None.
    """

    labels: int
    errors: int
    log_evidence: float | None
    log_limit: float
    alarm_at: int | None


@dataclass(frozen=True)
class Earlier:
    """The version that a promotion replaced, and the evidence of its labels."""

    model_version: int
    stream: Stream


@dataclass(frozen=True)
class Estimate:
    """A share with its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f}..{self.high:.3f})"


@dataclass(frozen=True)
class Window:
    """Measurements of the newest predictions; None for an impossible one."""

    labelled: int = 0
    accuracy: Estimate | None = None
    estimated_accuracy: Estimate | None = None
    embedding_p: float | None = None


@dataclass(frozen=True)
class Retraining:
    """The facts for and against retraining.

    `new_frames` counts labelled ones that no snapshot has. `last_age_s` is the age of the newest
    decision to retrain, None without one. `in_flight` says what it waits for, None if it is over,
    and `gives_up_in_s` when it is given up. `failures` counts those without success under this
    champion.
    """

    new_frames: int = 0
    last_age_s: float | None = None
    in_flight: str | None = None
    gives_up_in_s: float | None = None
    failures: int = 0
    rollout: str | None = None


@dataclass(frozen=True)
class Facts:
    """All facts of a decision.

    `askable` counts predictions of the window without a label, `askable_images` those among them
    whose image was kept. `reports` counts answers that volunteers called wrong, since labels were
    last asked for. `learned_forgotten`: media that it learned from were erased since.
    """

    model_version: int
    stream: Stream
    is_rollback: bool = False
    earlier: Earlier | None = None
    window: Window = field(default_factory=Window)
    retraining: Retraining = field(default_factory=Retraining)
    open_batch: str | None = None
    askable: int = 0
    askable_images: int = 0
    reports: int = 0
    learned_forgotten: bool = False
