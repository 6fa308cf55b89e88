"""The base of every record, and the scopes of API keys."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    """Base of every record: immutable, and a misspelt field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class Scope(StrEnum):
    """The right that an API key gives. `admin` may do everything."""

    INGEST = "ingest"
    PREDICT = "predict"
    LABEL = "label"
    ADMIN = "admin"
