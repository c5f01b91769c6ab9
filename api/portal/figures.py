"""The figures of the dashboard, held for a moment: over millions of rows they cost up to a second."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from flask import Flask, current_app

from api.held import Held
from api.wiring import services
from shared import heartbeat, last_day, stats
from shared.last_day import LastDay

EXTENSION = "brain_tumor_figures"
LEAST_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Figures:
    """`stats` as `GET /api/admin/dashboard/stats` has it; `last_minute`: jobs done, by kind."""

    stats: dict[str, Any]
    day: LastDay
    last_minute: dict[str, int]
    workers_alive: int
    at: datetime


def set_up(app: Flask) -> None:
    """Make room for the figures of this application."""
    app.extensions[EXTENSION] = Held[Figures](LEAST_SECONDS)


def current() -> Figures:
    """As they are, or were a moment ago."""
    held: Held[Figures] = current_app.extensions[EXTENSION]
    return held.get(_read)


def _read() -> Figures:
    built = services()
    with built.sessions() as session:
        return Figures(
            stats=stats.dashboard(session, built.settings.release_gate),
            day=last_day.last_day(session),
            last_minute=last_day.last_minute(session),
            workers_alive=heartbeat.count_alive(session),
            at=datetime.now(UTC),
        )
