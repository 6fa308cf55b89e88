"""The errors of a release, in the eyes of its task, by the labels that answer a draw."""

from collections.abc import Sequence
from datetime import datetime

import numpy as np
import numpy.typing as npt
from sqlalchemy.orm import Session

from visionops_assets.catalog.performance import labelled_answers, volunteered_answers
from visionops_assets.catalog.schema import Release
from visionops_assets.tasks.base import Answer
from visionops_assets.tasks.registry import annotating, serving


def error_stream(session: Session, release: Release, task: str) -> npt.NDArray[np.bool_]:
    """Return which labelled predictions of a release were wrong, bool (n,), oldest label first.

    All is read anew each time, since a label may come before its prediction does, or be taken back.
    """
    return wrong_ones(labelled_answers(session, release), task)


def count_reports(session: Session, release: Release, task: str, since: datetime) -> int:
    """Count the answers of a release that volunteers called wrong since a time."""
    return int(wrong_ones(volunteered_answers(session, release, since), task).sum())


def wrong_ones(answers: Sequence[tuple[str, str]], task: str) -> npt.NDArray[np.bool_]:
    """Say which of n answers are wrong, bool (n,); each comes with its label.

    Both are texts, as `Answer.label` and `Annotation.text` have them.
    """
    is_wrong, read = serving(task).is_wrong, annotating(task).labels
    # There are many answers, and few different ones.
    wrong = {pair: is_wrong(Answer(read(pair[0])), read(pair[1])) for pair in set(answers)}
    return np.array([wrong[pair] for pair in answers], np.bool_)
