"""A request id in every answer and log line, one log line per request, and the security headers."""

import re
import time
import uuid

import structlog
from flask import Flask, Response, g, request

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
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=g.request_id)

    @app.after_request
    def finish(response: Response) -> Response:
        response.headers[HEADER] = g.get("request_id", "")
        for name, value in _SECURITY_HEADERS.items():
            response.headers.setdefault(name, value)
        if services().settings.public_url.startswith("https://"):
            response.headers["Strict-Transport-Security"] = f"max-age={_YEAR_S}"
        if request.endpoint not in _QUIET:
            # The rule, not the path: paths can hold ids and tokens.
            log.info(
                "request",
                method=request.method,
                route=str(request.url_rule or "unknown"),
                status=response.status_code,
                ms=round((time.perf_counter() - g.get("began", time.perf_counter())) * 1000, 1),
            )
        return response
