"""The bases of every record, and the scopes of API keys."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Text = Annotated[str, Field(pattern=r"^[^\x00]*$")]
"""Text that PostgreSQL can store: it has no NUL."""
Number = Annotated[float, Field(ge=-3.5e38, le=3.5e38)]
"""A number of single precision: sums of its squares are finite in double precision."""
MAX_INTEGER = 2**63 - 1
"""The largest that PostgreSQL stores."""


def _in_calendars(moment: datetime) -> datetime:
    if not 1 < moment.year < 9999:  # noqa: PLR2004 - in any time zone, Python can tell the date
        raise ValueError("The year must be between 2 and 9998.")
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


Moment = Annotated[datetime, AfterValidator(_in_calendars)]
"""A time that can be stored and read back; UTC if it names no zone."""


class Record(BaseModel):
    """Base of every record: immutable, a misspelt field is an error, and so is NaN."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", protected_namespaces=(), allow_inf_nan=False
    )


class TolerantRecord(Record, extra="ignore"):
    """Base of records that one version writes and another reads: unknown fields are ignored.

    Those are all that travel by a topic or lie in the object store, in the catalog or on a disk.
    During an upgrade, and after a rollback, a reader is older than the writer: one new field must
    not make a message unreadable. Requests of people stay strict, so that a typing error is told.
    """


class Scope(StrEnum):
    """The right that an API key gives. `admin` may do everything."""

    INGEST = "ingest"
    PREDICT = "predict"
    LABEL = "label"
    ADMIN = "admin"
