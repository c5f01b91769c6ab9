"""What the staff's list of scans is narrowed down to, as its address says it."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import TypeVar

from flask import request

from api.portal.lists import position
from shared.errors import NotFoundError
from shared.scan_search import Found, Reading, Wanted

Choice = TypeVar("Choice", bound=StrEnum)
NO_SUCH_LIST = "There is no such list."


@dataclass(frozen=True, slots=True)
class Filters:
    """`until` is the last day that is shown. Days are those of UTC, like times without scripts."""

    outcome: Found | None
    reading: Reading | None
    since: date | None
    until: date | None
    patient: int | None

    def wanted(self) -> Wanted:
        return Wanted(
            found=self.outcome,
            reading=self.reading,
            since=_start_of(self.since) if self.since else None,
            until=_start_of(self.until) + timedelta(days=1) if self.until else None,
            patient_id=self.patient,
        )

    def in_address(self) -> dict[str, str]:
        """For links to the same list."""
        values = {
            "outcome": self.outcome,
            "reading": self.reading,
            "since": self.since,
            "until": self.until,
            "patient": self.patient,
        }
        return {name: str(value) for name, value in values.items() if value is not None}


def asked_filters() -> Filters:
    """Those of this request. Raises `NotFoundError` for what the form cannot say."""
    return Filters(
        _choice(Found, "outcome"),
        _choice(Reading, "reading"),
        _day("since"),
        _day("until"),
        position("patient"),
    )


def _choice(among: type[Choice], name: str) -> Choice | None:
    text = request.args.get(name)
    if text and text not in set(among):
        raise NotFoundError(NO_SUCH_LIST)
    return among(text) if text else None


def _day(name: str) -> date | None:
    text = request.args.get(name)
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise NotFoundError(NO_SUCH_LIST) from None


def _start_of(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
