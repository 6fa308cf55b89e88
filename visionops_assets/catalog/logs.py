"""Logs of topic partitions: which one a partition has now, and what was lost of them.

A log that was replaced gives its offsets anew. So each log has a name of its own, by which the
catalog knows positions and messages: that of the topic, then `<topic>~2`, `<topic>~3`. No topic of
Kafka has a tilde in its name.
"""

from datetime import timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from visionops_assets.catalog.schema import LogCut

SHOWN_FOR = timedelta(days=1)
"""A cut is counted this long: a queue that loses messages is to be looked at."""


def topic_of(log: str) -> str:
    """Return the topic of a log."""
    return log.partition("~")[0]


def generation_of(log: str) -> int:
    """Say the how-manieth log of its topic partition it is, from 1 on."""
    return int(log.partition("~")[2] or 1)


def log_of(session: Session, topic: str, partition: int) -> str:
    """Return the name of the log that a topic partition has now."""
    replaced = session.scalar(
        select(func.count()).where(
            LogCut.topic == topic, LogCut.topic_partition == partition, LogCut.is_replaced
        )
    )
    return f"{topic}~{replaced + 1}" if replaced else topic


def note_cut(session: Session, log: str, partition: int, first: int, end: int) -> None:
    """Note that the messages in `[first, end)` of a log were gone before they were read."""
    session.add(
        LogCut(
            topic=topic_of(log),
            topic_partition=partition,
            log=log,
            first_offset=first,
            end_offset=end,
            is_replaced=False,
        )
    )


def note_replaced(session: Session, log: str, partition: int, first: int) -> str:
    """Note that a log, read up to before `first`, was replaced; return the present one's name.

    Nothing is noted if that is known already.
    """
    topic = topic_of(log)
    present = log_of(session, topic, partition)
    if present != log:
        return present
    session.add(
        LogCut(
            topic=topic,
            topic_partition=partition,
            log=log,
            first_offset=first,
            end_offset=None,
            is_replaced=True,
        )
    )
    session.flush()
    return log_of(session, topic, partition)


def count_cuts(session: Session) -> dict[str, int]:
    """Count the cuts that were noticed lately, by topic."""
    query = (
        select(LogCut.topic, func.count())
        .where(LogCut.noticed_at > func.now() - SHOWN_FOR)
        .group_by(LogCut.topic)
    )
    return dict(session.execute(query).all())
