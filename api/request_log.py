"""A request id in every answer and log line, one log line per request, and the security headers."""

import re
import time
import uuid

import structlog
from flask import Flask, Response, g, request

from api import metrics
from api.wiring import services
from shared.logs import get_logger

HEADER = "X-Request-ID"
_GIVEN = re.compile(r"[A-Za-z0-9._-]{1,64}")
_QUIET = frozenset({"health.health", "health.ready"})
_YEAR_S = 365 * 24 * 3600
_SECURITY_HEADERS = {  # a view that needs others sets them itself
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
}

log = get_logger(__name__)


def register_request_log(app: Flask) -> None:
    @app.before_request
    def begin() -> None:
        given = request.headers.get(HEADER, "")
        g.request_id = given if _GIVEN.fullmatch(given) else uuid.uuid4().hex
        g.began = time.perf_counter()
        metrics.request_began()
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=g.request_id)

    @app.after_request
    def finish(response: Response) -> Response:
        response.headers[HEADER] = g.get("request_id", "")
        for name, value in _SECURITY_HEADERS.items():
            response.headers.setdefault(name, value)
        if services().settings.public_url.startswith("https://"):
            response.headers["Strict-Transport-Security"] = f"max-age={_YEAR_S}"
        route = str(request.url_rule or "unknown")  # not the path: paths can hold ids and tokens
        seconds = time.perf_counter() - g.get("began", time.perf_counter())
        metrics.request_answered(
            request.method, route, response.status_code, seconds, was_held=g.get("was_held", False)
        )
        if request.endpoint not in _QUIET:
            log.info(
                "request",
                method=request.method,
                route=route,
                status=response.status_code,
                ms=round(seconds * 1000, 1),
                bytes_in=request.content_length,
                bytes_out=response.content_length,
            )
        return response

    @app.teardown_request
    def forget(_: BaseException | None) -> None:
        if g.pop("began", None) is not None:
            metrics.request_gone()
