"""What every record is, and what an API key may do."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    """Base of every record: immutable, and a misspelt field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class Scope(StrEnum):
    """What an API key may do. `admin` may do everything."""

    INGEST = "ingest"
    PREDICT = "predict"
    LABEL = "label"
    ADMIN = "admin"
