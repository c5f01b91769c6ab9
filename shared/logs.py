"""JSON logs on standard error: the event is a fixed phrase, data goes in fields.

A line is one JSON object, so a newline inside a value cannot forge a second line. No patient data, image
bytes or secrets belong in any field.
"""

import logging
import sys
from typing import Any

import structlog
from structlog.types import Processor, WrappedLogger

_RENDERED = "is_rendered"  # marks a record whose message is the line itself

_SHARED: tuple[Processor, ...] = (
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.stdlib.ExtraAdder(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
)
_RENDERING: tuple[Processor, ...] = (
    structlog.processors.format_exc_info,
    structlog.processors.JSONRenderer(),
)


class _JsonFormatter(structlog.stdlib.ProcessorFormatter):
    """Lines of our own loggers come as JSON, and pass: doing the work twice costs as much as a line."""

    def format(self, record: logging.LogRecord) -> str:
        return str(record.msg) if hasattr(record, _RENDERED) else super().format(record)


def _as_rendered(_: WrappedLogger, __: str, line: Any) -> tuple[tuple[str], dict[str, Any]]:
    """The arguments that the logger of the standard library gets."""
    return (line,), {"extra": {_RENDERED: True}}


def configure_logging(level: str) -> None:
    """Send every logger of this process, libraries' included, through one JSON handler."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(json_formatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_SHARED,
            *_RENDERING,
            _as_rendered,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )


def json_formatter() -> logging.Formatter:
    """Makes one JSON object of each record, whoever logs it."""
    return _JsonFormatter(
        foreign_pre_chain=_SHARED,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_RENDERING],
    )


def server_logging() -> dict[str, Any]:
    """The same for gunicorn, which sets up logging before it loads the application (`logconfig_dict`).

    It keeps no access log of its own: that would hold paths, with ids and signed tokens in them. The
    application's line "request" holds the route instead.
    """
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": json_formatter}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
        "root": {"level": "INFO", "handlers": ["stderr"]},
        "loggers": {"gunicorn.error": {"handlers": [], "propagate": True}},
    }


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger
