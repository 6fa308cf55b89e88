"""The bases of every record, and the scopes of API keys."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    """Base of every record: immutable, and a misspelt field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


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
