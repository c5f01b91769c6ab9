"""JSON request bodies: strict shapes, and refusals that name the field."""

import uuid
from typing import Annotated, Any, Literal, TypeVar

from flask import request
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints
from pydantic import ValidationError as PydanticError
from werkzeug.exceptions import BadRequest

from shared.errors import ValidationError

MAX_ID = 2**31 - 1
MAX_STATUS_IDS = 500
_EMAIL = r"^[^@\s,;<>\"\\]{1,64}@[^@\s,;<>\"\\]{1,189}\.[^@\s.,;<>\"\\]{2,63}$"

Model = TypeVar("Model", bound=BaseModel)


def _clean(text: str) -> str:
    if any(ord(character) < 32 and character not in "\n\t" for character in text):
        raise ValueError("must not contain control characters")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("must be valid text") from None
    return text


def _empty_is_none(value: Any) -> Any:
    return None if isinstance(value, str) and not value.strip() else value


def _one_line(text: str) -> str:
    if "\n" in text:
        raise ValueError("must be one line")
    return text


Text = Annotated[str, StringConstraints(strip_whitespace=True), AfterValidator(_clean)]
Line = Annotated[Text, AfterValidator(_one_line)]
Empty = BeforeValidator(_empty_is_none)
RowId = Annotated[int, Field(ge=1, le=MAX_ID)]


class Body(BaseModel):
    model_config = ConfigDict(extra="ignore")


class LoginBody(Body):
    username: Annotated[Line, Field(min_length=1, max_length=100)]
    password: Annotated[str, Field(min_length=1, max_length=1024), AfterValidator(_clean)]


class NewPatientBody(Body):
    name: Annotated[Line, Field(min_length=1, max_length=200)]
    email: Annotated[Line, Field(max_length=254, pattern=_EMAIL)]
    age: Annotated[Annotated[int, Field(ge=0, le=150)] | None, Empty] = None
    gender: Annotated[Literal["Male", "Female", "Other"] | None, Empty] = None
    phone: Annotated[Annotated[Line, Field(pattern=r"^\+?[0-9\s\-()]{7,15}$")] | None, Empty] = None
    address: Annotated[Annotated[Text, Field(max_length=1000)] | None, Empty] = None


class GenerateReportBody(Body):
    patient_id: RowId
    scan_ids: (
        Annotated[list[Annotated[Line, Field(max_length=50)]], Field(min_length=1, max_length=1000)] | None
    ) = None


class JobIdsBody(Body):
    ids: Annotated[list[Annotated[Line, Field(max_length=50)]], Field(max_length=MAX_STATUS_IDS)]


def read_body(shape: type[Model]) -> Model:
    """The request's JSON body as `shape`. Raises `ValidationError` naming the first field that is wrong."""
    try:
        content = request.get_json()
    except (BadRequest, RecursionError):
        raise ValidationError("The request body is not valid JSON.") from None
    if not isinstance(content, dict):
        raise ValidationError("The request body must be a JSON object.")
    try:
        return shape.model_validate(content)
    except PydanticError as error:
        problem = error.errors(include_input=False, include_url=False)[0]
        field = str(problem["loc"][0]) if problem["loc"] else None
        message = problem["msg"].removeprefix("Value error, ")
        raise ValidationError(f"{field}: {message}" if field else message, field) from None


def read_uuid(text: str) -> uuid.UUID | None:
    """A job or batch id, or None if the text is none."""
    try:
        return uuid.UUID(text)
    except ValueError:
        return None
