"""Finds sources whose frames show nothing: blank, too dark, too bright, or frozen. Pure."""

from typing import NamedTuple

import pandas as pd

BLANK_CONTRAST = 0.01
"""2.5 of 255 levels: the noise of a sensor behind a covered lens."""
DARK, BRIGHT = 0.03, 0.97
SUSPECT_SHARE = 0.2
"""One frame in five: a lamp that is off at night makes fewer."""
LEAST_FRAMES = 5
FROZEN_FRAMES = 10
"""Frames in a row that are equal to the last bit: the noise of a sensor never repeats."""


class Complaint(NamedTuple):
    """A source, the fault of its frames, and how many of how many have it."""

    source: str
    fault: str
    frames: int
    of: int

    def __str__(self) -> str:
        """Say it in one sentence."""
        return f"{self.source}: {self.frames} of {self.of} frames are {self.fault}."


def shows_nothing(frames: pd.DataFrame) -> list[Complaint]:
    """Return the sources that sent too many blank, dark or bright frames.

    `frames` has the columns `source`, `brightness` and `contrast`.
    """
    return [
        Complaint(str(source), fault, int(has_it.sum()), len(rows))
        for source, rows in frames.groupby("source")
        for fault, has_it in (
            ("blank", rows["contrast"] < BLANK_CONTRAST),
            ("too dark", (rows["brightness"] < DARK) & (rows["contrast"] >= BLANK_CONTRAST)),
            ("too bright", (rows["brightness"] > BRIGHT) & (rows["contrast"] >= BLANK_CONTRAST)),
        )
        if len(rows) >= LEAST_FRAMES and has_it.mean() > SUSPECT_SHARE
    ]


def frozen(frames: pd.DataFrame) -> list[Complaint]:
    """Return the sources whose last frames, in the order of the table, are all the same one.

    `frames` has the columns `source`, `perceptual_hash`, `brightness`, `sharpness` and `noise`:
    frames that agree in all of them are equal. Blank ones are told of as such.
    """
    complaints = []
    for source, rows in frames[frames["contrast"] >= BLANK_CONTRAST].groupby("source"):
        looks = rows[["perceptual_hash", "brightness", "sharpness", "noise"]]
        differs = (looks != looks.iloc[-1]).any(axis=1).to_numpy()
        repeated = len(rows) if not differs.any() else int(differs[::-1].argmax())
        if repeated >= FROZEN_FRAMES:
            complaints.append(Complaint(str(source), "the same one", repeated, len(rows)))
    return complaints
