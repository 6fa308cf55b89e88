"""The base of every answer that a client returns."""

from pydantic import BaseModel, ConfigDict


class Answer(BaseModel):
    """An answer of a service: immutable. Fields that a newer service adds are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=())
