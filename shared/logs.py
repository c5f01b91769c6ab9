"""JSON logs on standard error: the event is a fixed phrase, data goes in fields.

A line is one JSON object, so a newline inside a value cannot forge a second line. No patient data, image
bytes or secrets belong in any field.
"""

import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from json import JSONEncoder
from typing import Any, ClassVar

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
_ENCODER = JSONEncoder(default=repr)  # one for all lines: making one costs as much as a line


def _as_json(fields: Any, **_: Any) -> str:
    return _ENCODER.encode(fields)


_RENDERING: tuple[Processor, ...] = (
    structlog.processors.format_exc_info,
    structlog.processors.JSONRenderer(_as_json),
)


class _LineHandler(logging.StreamHandler[Any]):
    """Writes each line as it comes, but for those of `lines_together`."""

    held: ClassVar[threading.local] = threading.local()

    def emit(self, record: logging.LogRecord) -> None:
        lines: list[str] | None = getattr(self.held, "lines", None)
        if lines is None:
            super().emit(record)
            return
        try:
            lines.append(self.format(record))
        except Exception:  # noqa: BLE001 - as the standard library does
            self.handleError(record)


@contextmanager
def lines_together() -> Iterator[None]:
    """What this thread logs in the block is written at its end, at once.

    Each write wakes up whoever reads it: for many lines in a row that costs more than the lines.
    """
    held, lines = _LineHandler.held, list[str]()
    if hasattr(held, "lines"):
        yield
        return
    held.lines = lines
    try:
        yield
    finally:
        del held.lines
        together = logging.makeLogRecord({"msg": "\n".join(lines), _RENDERED: True})
        for handler in logging.getLogger().handlers if lines else ():
            if isinstance(handler, _LineHandler):  # others have had each line
                handler.handle(together)


class _JsonFormatter(structlog.stdlib.ProcessorFormatter):
    """Lines of our own loggers come as JSON, and pass: doing the work twice costs as much as a line."""

    def format(self, record: logging.LogRecord) -> str:
        return str(record.msg) if hasattr(record, _RENDERED) else super().format(record)


def _as_rendered(_: WrappedLogger, __: str, line: Any) -> tuple[tuple[str], dict[str, Any]]:
    """The arguments that the logger of the standard library gets."""
    return (line,), {"extra": {_RENDERED: True}}


def configure_logging(level: str) -> None:
    """Send every logger of this process, libraries' included, through one JSON handler."""
    handler = _LineHandler(sys.stderr)
    handler.setFormatter(json_formatter())
    _forgo_what_no_line_shows()
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


def _forgo_what_no_line_shows() -> None:
    """Else each record looks for its caller, thread and process; from Python's guide to logging."""
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False


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
