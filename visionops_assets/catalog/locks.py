"""PostgreSQL's advisory locks, held to the end of the transaction, and their numbers."""

from enum import IntEnum

from sqlalchemy import func, select
from sqlalchemy.orm import Session


class Lock(IntEnum):
    """Kinds of locks: the first of PostgreSQL's two keys. The second follows from a name."""

    RELEASES = 7_105
    DECISIONS = 7_106
    ADOPTIONS = 7_107
    LINEAGE = 7_108
    ANNOTATIONS = 7_109
    MEMBERS = 7_110
    LABELLING = 7_111


def hold(session: Session, lock: Lock, name: str) -> None:
    """Wait until no other transaction holds this lock for this name, and take it."""
    session.execute(select(func.pg_advisory_xact_lock(lock.value, func.hashtext(name)))).one()


def try_to_hold(session: Session, lock: Lock, name: str) -> bool:
    """Take this lock for this name if it is free, and say whether it was."""
    query = select(func.pg_try_advisory_xact_lock(lock.value, func.hashtext(name)))
    return bool(session.scalar(query))
