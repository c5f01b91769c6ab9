"""A request id in every answer and log line, one log line per request, and the security headers."""

import re
import time
import uuid
from dataclasses import dataclass
from wsgiref.types import WSGIEnvironment

import structlog
from flask import Flask, Response, g, request

from api import metrics
from api.wiring import services
from shared.logs import get_logger
from shared.settings import Settings

HEADER = "X-Request-ID"
_GIVEN = re.compile(r"[A-Za-z0-9._-]{1,64}")
_QUIET = frozenset({"health.health", "health.ready"})
_YEAR_S = 365 * 24 * 3600
_SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
}

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Answered:
    """A request and what it was answered."""

    method: str
    route: str  # not the path: paths can hold ids and tokens
    status: int
    seconds: float
    bytes_in: int | None
    bytes_out: int | None
    was_held: bool = False


def register_request_log(app: Flask) -> None:
    @app.before_request
    def begin() -> None:
        g.began = time.perf_counter()
        g.request_id = begin_request(request.environ)

    @app.after_request
    def finish(response: Response) -> Response:
        response.headers[HEADER] = g.get("request_id", "")
        for name, value in standard_headers(services().settings).items():
            response.headers.setdefault(name, value)
        answered = Answered(
            request.method,
            str(request.url_rule or "unknown"),
            response.status_code,
            time.perf_counter() - g.get("began", time.perf_counter()),
            request.content_length,
            response.content_length,
            was_held=g.get("was_held", False),
        )
        note_answer(answered, is_logged=request.endpoint not in _QUIET)
        return response

    @app.teardown_request
    def forget(_: BaseException | None) -> None:
        if g.pop("began", None) is not None:
            metrics.request_gone()


def begin_request(environ: WSGIEnvironment) -> str:
    """Count a request, and have all that it logs carry its id; `metrics.request_gone` ends it."""
    metrics.request_began()
    given = environ.get("HTTP_X_REQUEST_ID", "")
    request_id = given if _GIVEN.fullmatch(given) else uuid.uuid4().hex
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=request_id)
    return request_id


def standard_headers(settings: Settings) -> dict[str, str]:
    """Of every answer. A view that needs others sets them itself."""
    if settings.public_url.startswith("https://"):
        return {**_SECURITY_HEADERS, "Strict-Transport-Security": f"max-age={_YEAR_S}"}
    return _SECURITY_HEADERS


def note_answer(answered: Answered, is_logged: bool) -> None:
    """Count it, and log it."""
    metrics.request_answered(
        answered.method, answered.route, answered.status, answered.seconds, answered.was_held
    )
    if is_logged:
        log.info(
            "request",
            method=answered.method,
            route=answered.route,
            status=answered.status,
            ms=round(answered.seconds * 1000, 1),
            bytes_in=answered.bytes_in,
            bytes_out=answered.bytes_out,
        )
