"""Domain error -> status and JSON body. The only such place."""

from collections.abc import Callable
from typing import Any

from flask import Flask, Response, g, jsonify, request
from gunicorn.http.errors import ParseException
from pydantic import ValidationError as PydanticError
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError
from werkzeug.exceptions import HTTPException

from shared.errors import (
    AuthenticationError,
    AuthorizationError,
    BrainScanError,
    ConflictError,
    FileUploadError,
    ModelPredictionError,
    NotFoundError,
    ObjectNotFoundError,
    ServiceUnavailableError,
    TooManyRequestsError,
    ValidationError,
)
from shared.logs import get_logger

RETRY_AFTER_S = 5
CREDENTIALS = ("username", "password")
STATUS_OF: tuple[tuple[type[BrainScanError], int], ...] = (  # the first match counts: special before general
    (ObjectNotFoundError, 404),
    (ValidationError, 400),
    (FileUploadError, 400),
    (AuthenticationError, 401),
    (AuthorizationError, 403),
    (NotFoundError, 404),
    (ConflictError, 409),
    (TooManyRequestsError, 429),
    (ModelPredictionError, 500),
    (ServiceUnavailableError, 503),
)
CODE_OF_STATUS = {
    400: "VALIDATION_ERROR",
    401: "AUTHENTICATION_ERROR",
    403: "AUTHORIZATION_ERROR",
    404: "NOT_FOUND_ERROR",
    409: "CONFLICT_ERROR",
    413: "PAYLOAD_TOO_LARGE",
    415: "UNSUPPORTED_MEDIA_TYPE",
    429: "RATE_LIMITED",
    500: "INTERNAL_SERVER_ERROR",
    503: "SERVICE_UNAVAILABLE",
}

log = get_logger(__name__)

READ_ONLY = "25006"  # Postgres' code


def register_error_handlers(app: Flask) -> None:
    """Make every way in which a request can fail end in the one error shape."""
    for kind, handler in _HANDLERS:
        app.register_error_handler(kind, handler)


def answer_to(error: Exception) -> Response:
    """What an error ends in, logged where it must be; pages show the same status in their own look."""
    return next(handler for kind, handler in _HANDLERS if isinstance(error, kind))(error)


def error_body(message: str, code: str, field: str | None = None) -> dict[str, object]:
    body: dict[str, object] = {"success": False, "error": message, "code": code}
    if field is not None:
        body["field"] = field
    return body


def _answer(status: int, message: str, code: str, field: str | None = None) -> Response:
    response = jsonify(error_body(message, code, field))
    response.status_code = status
    if status == 503:
        response.headers["Retry-After"] = str(RETRY_AFTER_S)
    return response


def refuse_invalid(error: PydanticError) -> Response:
    """A request that does not have the documented shape: the first field that is wrong is named."""
    problem = error.errors(include_input=False, include_url=False)[0]
    field = str(problem["loc"][0]) if problem["loc"] else None
    message = problem["msg"].removeprefix("Value error, ")
    if field is None:
        message = "The request body must be a JSON object."
    elif field in CREDENTIALS and request.path.endswith("/login"):
        message = "Username and password are required"
    else:
        message = f"{field}: {message}"
    return _answer(400, message, ValidationError.code, field)


def _domain_error(error: BrainScanError) -> Response:
    status = next((status for kind, status in STATUS_OF if isinstance(error, kind)), 500)
    field = error.field if isinstance(error, ValidationError) else None
    response = _answer(status, str(error), error.code, field)
    if isinstance(error, TooManyRequestsError):
        response.headers["Retry-After"] = str(error.retry_after)
    return response


def _http_error(error: HTTPException) -> Response:
    status = error.code or 500
    response = _answer(status, _sentence(status, error), CODE_OF_STATUS.get(status, f"HTTP_{status}"))
    for name, value in error.get_headers():
        if name in ("Allow", "Location", "Retry-After"):
            response.headers[name] = value
    return response


def _sentence(status: int, error: HTTPException) -> str:
    if status == 413:
        return "The request is too large. Send fewer or smaller files at once."
    if status == 404:
        return "There is nothing at this address."
    return error.description or "The request could not be handled."


def _is_read_only(error: SQLAlchemyError) -> bool:
    """Whether Postgres takes no writes for now, as while another machine takes over."""
    return isinstance(error, DBAPIError) and getattr(error.orig, "pgcode", None) == READ_ONLY


def _database_error(error: SQLAlchemyError) -> Response:
    log.error("database error", cause=type(error).__name__, exc_info=error)
    if isinstance(error, OperationalError) or _is_read_only(error):
        # Not "nothing was changed": perhaps only the answer to the commit was lost.
        message = (
            "The database does not answer right now. Try again in a few seconds; with an Idempotency-Key "
            "a repeat makes nothing twice."
        )
        return _answer(503, message, "SERVICE_UNAVAILABLE")
    return _answer(
        500, f"The database refused the request. Quote {g.request_id} to support.", "DATABASE_ERROR"
    )


def _too_deep(_: RecursionError) -> Response:
    return _answer(400, "The request body is nested too deeply.", ValidationError.code)


def _badly_cut(_: ParseException) -> Response:
    """What gunicorn raises when somebody reads a chunked body that breaks the rules of HTTP."""
    return _answer(400, "The request body is not cut into chunks as HTTP demands.", ValidationError.code)


def _unexpected_error(error: Exception) -> Response:
    log.error("unexpected error", cause=type(error).__name__, exc_info=error)
    message = f"Something went wrong on our side. Quote {g.request_id} to support."
    return _answer(500, message, "INTERNAL_SERVER_ERROR")


_HANDLERS: tuple[tuple[type[Exception], Callable[[Any], Response]], ...] = (  # special before general
    (BrainScanError, _domain_error),
    (HTTPException, _http_error),
    (SQLAlchemyError, _database_error),
    (RecursionError, _too_deep),
    (ParseException, _badly_cut),
    (Exception, _unexpected_error),
)
