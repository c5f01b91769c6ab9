"""How fast jobs end, looked up at most every few seconds: thousands of polls ask for the same number."""

import time

from sqlalchemy.orm import Session

from shared import job_queries
from shared.models import JobKind

KEPT_S = 2.0


class Pace:
    """Remembers each kind's pace for a moment."""

    def __init__(self) -> None:
        self._known: dict[JobKind, tuple[float, float]] = {}

    def seconds_per_job(self, session: Session, kind: JobKind) -> float | None:
        """As `job_queries.seconds_per_job` said not long ago."""
        now = time.monotonic()
        known = self._known.get(kind)
        if known is not None and now - known[0] < KEPT_S:
            return known[1]
        pace = job_queries.seconds_per_job(session, kind)
        if pace is not None:
            self._known[kind] = (now, pace)
        return pace
