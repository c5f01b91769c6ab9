"""What ended in the last 24 hours, for the dashboard. Functions take a session and change nothing."""

from dataclasses import dataclass, field
from datetime import timedelta

from sqlalchemy import Integer, Select, and_, cast, func, select
from sqlalchemy.orm import Session

from shared.models import Job, JobKind, JobStatus, Scan
from shared.results import NEEDS_REVIEW, NO_TUMOR, REJECTED, TUMOR

HOURS = 24
FAILED = "failed"
OUTCOMES = ("tumor", "no_tumor", NEEDS_REVIEW, REJECTED, FAILED)
_OF_SCAN = {TUMOR: "tumor", NO_TUMOR: "no_tumor", NEEDS_REVIEW: NEEDS_REVIEW, REJECTED: REJECTED}


@dataclass(frozen=True, slots=True)
class LastDay:
    """`hours`: how many scans ended with each of `OUTCOMES`, in each hour back from now, oldest first.

    `failures`: jobs of all kinds that failed for good, and did not run again since.
    """

    hours: list[dict[str, int]] = field(
        default_factory=lambda: [dict.fromkeys(OUTCOMES, 0) for _ in range(HOURS)]
    )
    failures: int = 0

    @property
    def busiest(self) -> int:
        """Scans of the hour that had most."""
        return max(sum(hour.values()) for hour in self.hours)

    @property
    def scans(self) -> int:
        return sum(sum(hour.values()) for hour in self.hours)


def last_day(session: Session) -> LastDay:
    """Read from the jobs that ended in this time; cancelled ones count nowhere."""
    day, failures = LastDay(), 0
    for hours_ago, kind, status, prediction, review, number in session.execute(_ended(session)):
        has_failed = status == JobStatus.FAILED
        failures += number if has_failed else 0
        outcome = FAILED if has_failed else _OF_SCAN.get(str(review or prediction))
        if kind == JobKind.SCAN and outcome is not None:
            day.hours[HOURS - 1 - min(hours_ago, HOURS - 1)][outcome] += number
    return LastDay(day.hours, failures)


def _ended(session: Session) -> Select[int, JobKind, JobStatus, str | None, str | None, int]:
    """How many jobs ended, by hours ago, kind, status and what came out of their scans.

    Scans are numbered as they come, so that those of a day lie close together: with their bounds Postgres
    reads these and not the whole table.
    """
    is_recent = Job.finished_at > func.now() - timedelta(hours=HOURS)
    # With the count Postgres reads the recent jobs; for bounds alone it walks through all, by their scans.
    bounds = select(func.min(Job.scan_id), func.max(Job.scan_id), func.count()).where(is_recent)
    first, last, _ = session.execute(bounds).one()
    ago = cast(func.floor(func.extract("epoch", func.now() - Job.finished_at) / 3600), Integer).label("ago")
    its_scan = and_(Scan.id == Job.scan_id, Scan.id.between(first, last))
    groups = (ago, Job.kind, Job.status, Scan.prediction, Scan.review)
    return (
        select(*groups, func.count())
        .outerjoin(Scan, its_scan)
        .where(is_recent, Job.status != JobStatus.CANCELLED)
        .group_by(*groups)
    )


def last_minute(session: Session) -> dict[str, int]:
    """How many jobs of each kind succeeded in it."""
    is_recent = Job.finished_at > func.now() - timedelta(minutes=1)
    query = select(Job.kind, func.count()).where(is_recent, Job.status == JobStatus.SUCCEEDED)
    counts = {str(kind): 0 for kind in JobKind}
    return counts | {str(kind): number for kind, number in session.execute(query.group_by(Job.kind))}
