"""The recipe of training: its options, and the budget that follows from the data. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from pydantic import Field

from visionops_assets.contracts.base import Record

SMALL_BATCH = 32
LARGE_BATCH = 64
SMALL_BATCH_FRAMES = 4_000
"""Up to this many frames, many small steps teach more than few large ones in the same time."""
BASE_STEPS = 900
STEPS_PER_CLASS = 100
MAX_STEPS = 20_000
PASSES = 16
"""Passes over each frame of a large set."""
ROUNDS = 24
MIN_ROUND_STEPS = 40
AVERAGED_SHARE = 0.04
"""Share of the steps that the average of the weights remembers."""
PATIENCE_SHARE = 0.4
"""Share of the steps without a better round that ends training. Hard sets pause for a while."""
LEARNED_LOSS = 0.05
"""Mean training loss in nats below which the frames teach next to nothing more."""
CERTAIN_LOSS = 0.03
"""Validation loss in nats below which there is next to nothing left to gain."""


class Augmentation(Record):
    """The range of each change, drawn evenly for each image; 0 turns one off.

    The defaults are safe for photographs and for signs: nothing is mirrored or turned upside down.
    """

    crop: float = Field(
        0.1,
        ge=0,
        lt=1,
        description="Share of width and height that is cut off training images, at most.",
    )
    shift: float = Field(
        0.08,
        ge=0,
        lt=1,
        description="Share of width and height by which training images move, at most.",
    )
    zoom: float = Field(
        0.1, ge=0, lt=1, description="Share by which training images grow or shrink, at most."
    )
    rotation_deg: float = Field(
        10.0, ge=0, le=180, description="Degrees by which training images turn either way, at most."
    )
    brightness: float = Field(
        0.2,
        ge=0,
        le=1,
        description="Share by which light and contrast of training images vary, at most, in "
        "standard deviations of the pixels.",
    )
    colour: float = Field(
        0.1,
        ge=0,
        le=1,
        description="Share by which each colour of training images varies by itself, at most.",
    )
    flip: Literal["none", "horizontal"] = Field(
        "none",
        description="`horizontal` mirrors half of the training images. Do not use it for "
        "letters, signs, or other things that have a left and a right.",
    )


@dataclass(frozen=True)
class TrainingConfig:
    """The options of a training. None means: by the data."""

    architecture: str = "resnet-tiny"
    steps: int | None = None
    """Steps at most: training ends earlier when it is finished."""
    learning_rate: float = 1e-2
    """Peak of the one-cycle schedule (Smith and Topin, "Super-Convergence", 2018)."""
    weight_decay: float = 0.05
    """Decoupled, as in AdamW; a factor of the learning rate."""
    augmentation: Augmentation = field(default_factory=Augmentation)
    seed: int = 0
    """Fixes initial weights, inner split, order and augmentation."""
    threads: int | None = None
    """Threads of PyTorch while it trains; None: as many as are set."""


@dataclass(frozen=True)
class Budget:
    """The budget of a training: steps at most, images per step, steps between validations.

    `averaged_steps` is the number of steps that the average of the weights remembers.
    """

    steps: int
    batch_size: int
    round_steps: int
    averaged_steps: int


@dataclass(frozen=True)
class RoundResult:
    """The quality of the averaged weights after `step` steps.

    Losses are means in nats; `train_loss` is that of changed images since the round before. The
    score is the task's, 0..1.
    """

    step: int
    train_loss: float
    validation_loss: float
    validation_score: float
    learning_rate: float
    seconds: float

    def measured(self, score: str) -> dict[str, float]:
        """Return all but the step by names; `score` is that of the score."""
        names = {"validation_score": f"validation_{score}"}
        return {
            names.get(name, name): value for name, value in vars(self).items() if name != "step"
        }


def budget_for(frames: int, classes: int, steps: int | None = None) -> Budget:
    """Choose the budget by the number of training frames; `steps` overrides the number of steps.

    Few frames need as many steps as more frames do, to learn the look of each class; very many
    frames need some passes over all of them.
    """
    batch_size = SMALL_BATCH if frames <= SMALL_BATCH_FRAMES else LARGE_BATCH
    if steps is None:
        least = BASE_STEPS + STEPS_PER_CLASS * classes
        steps = min(max(least, PASSES * frames // batch_size), MAX_STEPS)
    return Budget(
        steps=steps,
        batch_size=min(batch_size, frames),
        round_steps=min(steps, max(MIN_ROUND_STEPS, steps // ROUNDS)),
        averaged_steps=max(1, round(AVERAGED_SHARE * steps)),
    )


def best_round(history: Sequence[RoundResult]) -> RoundResult:
    """Return the round with the best score, among equals the one with the least validation loss."""
    return max(history, key=lambda round_: (round_.validation_score, -round_.validation_loss))


def is_finished(history: Sequence[RoundResult], steps: int) -> bool:
    """Say whether training may end: it used its steps, learned its frames, or stands still."""
    if not history:
        return False
    last = history[-1]
    return (
        last.step >= steps
        or last.train_loss < LEARNED_LOSS
        or last.validation_loss < CERTAIN_LOSS
        or last.step - best_round(history).step >= PATIENCE_SHARE * steps
    )
