"""Field types and bases that the shapes of requests and answers are made of."""

import uuid
from datetime import datetime
from functools import cache
from typing import Annotated, Any

from flask_openapi3 import FileStorage
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints
from werkzeug.datastructures import FileStorage as WerkzeugFile

MAX_ID = 2**31 - 1
MAX_PAGE = 1000


def _clean(text: str) -> str:
    if any(ord(character) < 32 and character not in "\n\t" for character in text):
        raise ValueError("must not contain control characters")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("must be valid text") from None
    return text


def _one_line(text: str) -> str:
    if "\n" in text:
        raise ValueError("must be one line")
    return text


def _empty_is_none(value: Any) -> Any:
    return None if isinstance(value, str) and not value.strip() else value


def _whole(value: Any) -> Any:
    """Form values arrive parsed: 1e3 and 1.0 are numbers, but nobody's."""
    if isinstance(value, float | bool):
        raise ValueError("must be a whole number")  # noqa: TRY004 - pydantic reports ValueErrors only
    return value


def _file(value: Any) -> Any:
    if not isinstance(value, WerkzeugFile):
        raise ValueError("must be a file")  # noqa: TRY004 - pydantic reports ValueErrors only
    return value


def read_uuid(value: Any) -> uuid.UUID | None:
    """A job's or batch's id, or None if the value is none."""
    try:
        return uuid.UUID(str(value))
    except ValueError:
        return None


Text = Annotated[str, StringConstraints(strip_whitespace=True), AfterValidator(_clean)]
Line = Annotated[Text, AfterValidator(_one_line)]
Empty = BeforeValidator(_empty_is_none)
RowId = Annotated[int, Field(ge=1, le=MAX_ID), BeforeValidator(_whole)]
File = Annotated[FileStorage, BeforeValidator(_file)]  # a form field of that name may hold text instead
AnyUuid = Annotated[uuid.UUID | None, BeforeValidator(read_uuid)]  # None: nothing has such an id
Password = Annotated[str, Field(min_length=1, max_length=1024), AfterValidator(_clean)]
Time = Annotated[datetime, Field(examples=["2026-01-31T12:00:00.000Z"])]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]


class Shape(BaseModel):
    """One whose description is made once.

    flask-openapi3 asks for that of requests in every request, and at the start for that of an error as often
    as there are routes: a tenth of a poll's time, and a quarter of the start's.
    """

    @classmethod
    def model_json_schema(cls, *args: Any, **kwargs: Any) -> dict[str, Any]:
        return _described(cls, args, tuple(kwargs.items()))


@cache
def _described(
    shape: type[Shape], args: tuple[Any, ...], kwargs: tuple[tuple[str, Any], ...]
) -> dict[str, Any]:
    return super(Shape, shape).model_json_schema(*args, **dict(kwargs))


class Request(Shape):
    """What a client sends; further fields are ignored, as browsers' forms need."""

    model_config = ConfigDict(extra="ignore")


class Answer(Shape):
    """What the API sends. The schema is complete: an answer with another field fails the tests."""

    model_config = ConfigDict(extra="forbid")


class Ok(Answer):
    success: bool = Field(description="true")


class ErrorAnswer(Answer):
    """Every answer with a status of 400 or more."""

    success: bool = Field(description="false")
    error: str = Field(description="a sentence for a person")
    code: str = Field(description="a constant for programs", examples=["VALIDATION_ERROR"])
    field: str | None = Field(None, description="the field that is wrong")
    details: dict[str, Any] | None = None
    results: list[dict[str, Any]] | None = Field(
        None, description="of an upload: what is wrong with each file"
    )


class PageQuery(Request):
    """Lists are whole unless a page is asked for; the `Link` header leads to the next."""

    limit: Annotated[int, Field(ge=1, le=MAX_PAGE)] | None = Field(None, description="most rows of a page")
    cursor: Annotated[int, Field(ge=1, le=2**63 - 1)] | None = Field(None, description="from a `Link` header")


class WaitQuery(Request):
    wait: str | None = Field(None, description="seconds to hold the answer until the status changes")


class PatientPath(Request):
    patient_id: int = Field(description="patients.id")


class ScanPath(Request):
    scan_id: int = Field(description="scans.id")


class JobPath(Request):
    job_id: AnyUuid


class BatchPath(Request):
    batch_id: AnyUuid
