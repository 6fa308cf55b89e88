"""Validates the facts that a client states about a file. A wrong one is answered with 422."""

import mimetypes
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Annotated, Any, Self

from fastapi.exceptions import RequestValidationError
from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from visionops_assets.catalog.uploads import Description
from visionops_assets.contracts import Record, Scope
from visionops_assets.contracts.text import PlainText, composed, is_unseen
from visionops_assets.errors import InvalidRequestError
from visionops_assets.models import load_models
from visionops_assets.services.http.access import Principal
from visionops_assets.services.http.annotating import UnknownModelError, said_of_media

MAX_FILENAME_CHARACTERS = 255
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"

_ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


def _in_utc(time: datetime) -> datetime:
    if time.tzinfo is None:
        return time.replace(tzinfo=UTC)
    try:
        return time.astimezone(UTC)
    except OverflowError:
        raise ValueError("must lie between the years 1 and 9999 in UTC") from None


def _not_a_number(value: object) -> object:
    # Pydantic would take any number for seconds since 1970, so a typing error would be a wrong
    # time.
    is_text = isinstance(value, str) and _ISO_DATE.match(value)
    if not (is_text or value is None or isinstance(value, datetime)):
        raise ValueError("must be a date and a time in ISO 8601")
    return value


UtcTime = Annotated[datetime, BeforeValidator(_not_a_number), AfterValidator(_in_utc)]


def display_name(filename: str | None) -> str | None:
    """Make a client's file name fit to be shown. It is never used as a path."""
    if not filename:
        return None
    shown = composed(filename)[:MAX_FILENAME_CHARACTERS]
    return "".join(REPLACEMENT if is_unseen(c) else c for c in shown)


class MediaFields(Record):
    """The facts about the files of one request, by query parameters or by the form's fields."""

    source: PlainText = Field("upload", description="Where it comes from.", examples=["gate-7"])
    captured_at: UtcTime | None = Field(
        None,
        description="ISO 8601; UTC if it names no zone; default now.",
        examples=["2026-01-31T12:00:00Z"],
    )
    label: PlainText | None = Field(
        None,
        description="The label: what it shows. Several are separated by commas where a model gives "
        "several.",
        examples=["car"],
    )
    model: PlainText | None = Field(
        None,
        description="The model that the label is for; by default each that looks at the source.",
        examples=["classifier"],
    )

    @model_validator(mode="after")
    def _is_said_rightly(self) -> Self:
        try:
            self.annotation()
        except (InvalidRequestError, UnknownModelError) as error:
            raise ValueError(str(error)) from None
        return self

    def annotation(self) -> dict[str, Any] | None:
        """Return what the label says, in the form of its model's task; None without a label.

        Raises:
            UnknownModelError: the model is not declared.
            InvalidRequestError: it is no label of that task.
        """
        if self.label is None and self.model is None:
            return None
        said = said_of_media(load_models(), self.label or "-", self.source, self.model)
        return None if self.label is None else said

    def updated(self, fields: Mapping[str, str]) -> Self:
        """Return these facts; those of the fields of a form replace them.

        Raises:
            RequestValidationError: a field is unknown or has a value that cannot be used.
        """
        try:
            return type(self).model_validate(self.model_dump(exclude_unset=True) | dict(fields))
        except ValidationError as error:
            problems = [{**invalid, "loc": ("body", *invalid["loc"])} for invalid in error.errors()]
            raise RequestValidationError(problems) from None

    def about(self, said: str) -> "UploadQuery":
        """Return the facts about one file: these, replaced by those of a JSON object.

        Raises:
            InvalidRequestError: it is no JSON object, or a field is unknown or cannot be used.
        """
        try:
            own = UploadQuery.model_validate_json(said)
        except ValidationError as error:
            problems = error.errors(include_input=False, include_context=False)
            raise InvalidRequestError("; ".join(map(_problem_of_about, problems))) from None
        facts = self.model_dump(exclude_unset=True) | own.model_dump(exclude_unset=True)
        try:
            return UploadQuery.model_validate(facts)
        except ValidationError as error:
            problems = error.errors(include_input=False, include_context=False)
            raise InvalidRequestError("; ".join(map(_problem_of_about, problems))) from None

    def describe(self, filename: str | None, content_type: str, sender: Principal) -> Description:
        """Describe one file, by these fields and its own name."""
        return Description(
            source=self.source,
            filename=display_name(filename),
            captured_at=self.captured_at or datetime.now(UTC),
            annotation=self.annotation(),
            model_name=self.model,
            name_mismatch=contradicts(filename, content_type),
            uploaded_by=sender.name,
            may_relabel=sender.may(Scope.LABEL),
        )


class UploadQuery(MediaFields):
    """The facts about one file: a raw body has them in its query, a file of a batch its own."""

    filename: Annotated[str | None, AfterValidator(display_name)] = Field(
        None, description="Shown, never used as a path."
    )


def _problem_of_about(invalid: ErrorDetails) -> str:
    field = ".".join(map(str, ("about", *invalid["loc"])))
    return f"{field}: {invalid['msg'].removeprefix('Value error, ')}"


def contradicts(filename: str | None, content_type: str) -> bool:
    """Say whether the ending of the file name is that of another type."""
    ending = PurePosixPath(filename or "").suffix.lower()
    fitting = _TYPES_BY_ENDING.get(ending)
    return ending in _OTHER_ENDINGS if fitting is None else content_type not in fitting


# Some types share their endings in practice: a camera's .mp4 may be QuickTime by its brand.
_ENDINGS = [
    ({"video/mp4", "video/quicktime", "video/x-m4v", "video/3gpp"}, "mp4 m4v mov qt 3gp 3g2"),
    ({"video/webm", "video/x-matroska"}, "webm mkv"),
    ({"video/mp2t"}, "ts mts m2ts m2t"),
    ({"video/mpeg"}, "mpg mpeg vob"),
    ({"video/x-msvideo"}, "avi"),
    ({"video/x-ms-asf"}, "wmv asf"),
    ({"video/x-flv"}, "flv"),
    ({"video/ogg"}, "ogv ogg"),
    ({"application/mxf"}, "mxf"),
    ({"image/jpeg"}, "jpg jpeg jpe jfif"),
    ({"image/png"}, "png apng"),
    ({"image/tiff"}, "tif tiff"),
    ({"image/webp"}, "webp"),
    ({"image/gif"}, "gif"),
    ({"image/bmp"}, "bmp"),
    ({"image/heic"}, "heic heif hif"),
    ({"image/avif"}, "avif"),
    ({"image/jp2"}, "jp2 j2k j2c jpc jpf jpx"),
    ({"image/x-portable-anymap"}, "pnm ppm pgm pbm"),
    ({"image/x-tga"}, "tga"),
]
_TYPES_BY_ENDING = {f".{ending}": types for types, words in _ENDINGS for ending in words.split()}
# Python's own list, without this machine's additions.
_OTHER_ENDINGS = frozenset(mimetypes.MimeTypes().types_map[True])
