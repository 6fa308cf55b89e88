"""The lines of many annotations: cut from a body, read, and answered."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any, Self
from uuid import UUID

from pydantic import Field, ValidationError, model_validator

from visionops_assets.catalog.annotation_batches import Reference
from visionops_assets.catalog.annotation_lists import CountingAnnotation
from visionops_assets.contracts import Record
from visionops_assets.contracts.text import PlainText
from visionops_assets.errors import InvalidRequestError

MAX_LINE_BYTES = 256 * 1024


class SourceQuery(Record):
    """The source of the files."""

    source: PlainText | None = Field(None, description="Source of the files; else any.")


class ManyQuery(SourceQuery):
    """The source of the files, and which classes may be named."""

    new_classes: bool = Field(
        False, description="Whether lines may name classes that the model does not have yet."
    )


class Line(Record):
    """One line of the body."""

    media_id: UUID | None = None
    sha256: str | None = Field(None, pattern=r"^[0-9a-f]{64}$")
    filename: str | None = Field(None, min_length=1, max_length=1024, pattern=r"^[^\x00]*$")
    start_s: float | None = Field(None, ge=0, allow_inf_nan=False)
    end_s: float | None = Field(None, gt=0, allow_inf_nan=False)
    annotation: dict[str, Any]

    @model_validator(mode="after")
    def _of_something(self) -> Self:
        if not (self.media_id or self.sha256 or self.filename):
            raise ValueError("media_id, sha256 or filename: name the file")
        if (self.start_s is None) != (self.end_s is None):
            raise ValueError("start_s and end_s: give both of them, or none")
        if self.start_s is not None and self.end_s is not None and self.end_s <= self.start_s:
            raise ValueError("end_s: must be later than start_s")
        return self

    @property
    def reference(self) -> Reference:
        """Return how its file is named."""
        return Reference(self.media_id, self.sha256, self.filename)


class RefusedLine(Record):
    """A line that was not taken, counted from 1, and why."""

    line: int
    code: str
    detail: str


class ManyAnswer(
    Record,
    json_schema_extra={
        "examples": [{"lines": 2, "added": 1, "unchanged": 1, "refused": 0, "refusals": []}]
    },
):
    """The result of a request, by its lines. Of the refused ones the first 1,000 are listed."""

    lines: int
    added: int
    unchanged: int = Field(description="Lines that said what counts already.")
    refused: int
    refusals: list[RefusedLine]


class CountingLine(Record):
    """One line of the list."""

    media_id: UUID
    sha256: str | None
    filename: str | None
    source: str
    start_s: float | None
    end_s: float | None
    annotation: dict[str, Any]
    author: str | None
    created_at: datetime
    size_px: tuple[int, int] | None = Field(
        description="Width and height of the upright picture, where the file was processed."
    )

    @classmethod
    def of(cls, given: CountingAnnotation) -> Self:
        """Make the line of an annotation that counts."""
        renamed = {"annotation": given.payload, "size_px": given.picture_px}
        names = [name for name in cls.model_fields if name not in renamed]
        return cls(**{name: getattr(given, name) for name in names}, **renamed)


async def lines_of(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Cut a body into its lines.

    Raises:
        InvalidRequestError: a line is too long to be one.
    """
    rest = b""
    async for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            yield line
        if len(rest) > MAX_LINE_BYTES:
            raise InvalidRequestError(f"A line has more than {MAX_LINE_BYTES:,} bytes.")
    if rest:
        yield rest


def said_by(error: ValidationError) -> str:
    """Say which fields of a line are wrong, and why."""
    found = error.errors(include_input=False, include_context=False, include_url=False)
    named = (
        ": ".join(
            filter(None, (".".join(map(str, e["loc"])), e["msg"].removeprefix("Value error, ")))
        )
        for e in found
    )
    return "; ".join(named)
