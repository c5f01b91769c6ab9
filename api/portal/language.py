"""In which words pages speak. The only file that knows Flask-Babel.

English is the source; `translations/<language>` has the others. A cookie keeps what somebody chose, else the
browser's wish counts.
"""

from datetime import UTC, datetime

from flask import Flask, request
from flask_babel import (  # type: ignore[import-untyped]
    Babel,
    format_datetime,
    format_decimal,
    format_percent,
    gettext,
    ngettext,
)

COOKIE = "language"
LANGUAGES = {"en": "English", "de": "Deutsch"}
DEFAULT = "en"

__all__ = ["COOKIE", "DEFAULT", "LANGUAGES", "chosen", "gettext", "mark", "ngettext", "set_up"]


def set_up(app: Flask) -> None:
    """Let templates and views of this application translate."""
    Babel(
        app,
        default_locale=DEFAULT,
        default_translation_directories="portal/translations",  # below the folder of `api`
        locale_selector=chosen,
    )
    app.jinja_env.filters.update(percent=percent, moment=moment, iso=iso, duration=duration, number=number)


def chosen() -> str:
    """The language of this request."""
    kept = request.cookies.get(COOKIE, "")
    if kept in LANGUAGES:
        return kept
    return request.accept_languages.best_match(LANGUAGES, DEFAULT) or DEFAULT


def mark(text: str) -> str:
    """The text itself: it goes into the catalogue, and is translated where it is shown."""
    return text


def percent(share: float) -> str:
    """A share as whole percents; what is not quite none or all is never shown as such."""
    if 0 < share < 0.01:
        return f"< {format_percent(0.01)}"
    if 0.99 < share < 1:
        return f"> {format_percent(0.99)}"
    return str(format_percent(share))


def moment(at: datetime) -> str:
    """Date and time in UTC, for where no script shows them in the viewer's zone."""
    return f"{format_datetime(at.astimezone(UTC), 'd MMM y, HH:mm')} UTC"


def iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def number(count: float) -> str:
    """With the language's own signs: 12,345 or 12.345."""
    return str(format_decimal(count))


def duration(seconds: float) -> str:
    """A length of time in at most two units: "0.4 s", "12 s", "3 min 5 s", "2 h 4 min", "3 d 2 h"."""
    if seconds < 10:
        return f"{format_decimal(round(seconds, 1))} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes_left = divmod(minutes, 60)
    if hours >= 48:
        return f"{hours // 24} d {hours % 24} h"
    if hours:
        return f"{hours} h {minutes_left} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
