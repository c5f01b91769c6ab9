"""Finding scans among all of them. Functions take a session and change nothing.

Lists are newest first by the time of the upload, which a range of dates and every page of the list can enter
through an index, however many scans there are.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import ColumnElement, and_, select, tuple_
from sqlalchemy.orm import Session, aliased

from shared.models import UNFINISHED, Job, JobKind, JobStatus, Patient, Scan
from shared.results import NEEDS_REVIEW, NO_TUMOR, REJECTED, TUMOR
from shared.scans import with_jobs

_EARLIER = aliased(Scan)  # made once: an alias costs more than the query that it is for
_JOBS = aliased(Job)


class Found(StrEnum):
    """What came out of an analysis, or where it stands."""

    TUMOR = "tumor"
    NO_TUMOR = "no_tumor"
    NEEDS_REVIEW = "needs_review"
    REJECTED = "rejected"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNFINISHED = "unfinished"


class Reading(StrEnum):
    """What a reader has said about a result."""

    WAITING = "waiting"  # nothing yet
    REVIEWED = "reviewed"
    OVERRIDDEN = "overridden"  # not what the model says


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which scans; what is None does not matter."""

    found: Found | None = None
    reading: Reading | None = None
    since: datetime | None = None
    until: datetime | None = None  # not included
    patient_id: int | None = None


_STATUSES = {
    Found.FAILED: (JobStatus.FAILED,),
    Found.CANCELLED: (JobStatus.CANCELLED,),
    Found.UNFINISHED: UNFINISHED,
}
_RESULTS = {
    Found.TUMOR: and_(Scan.prediction == TUMOR, Scan.review.is_(None)),
    Found.NO_TUMOR: and_(Scan.prediction == NO_TUMOR, Scan.review.is_(None)),
    Found.NEEDS_REVIEW: and_(Scan.prediction.is_(None), Scan.review == NEEDS_REVIEW),
    Found.REJECTED: and_(Scan.prediction.is_(None), Scan.review == REJECTED),
}
_READINGS = {
    Reading.WAITING: and_(Scan.analysed_at.is_not(None), Scan.reader_verdict.is_(None)),
    Reading.REVIEWED: Scan.reader_verdict.is_not(None),
    Reading.OVERRIDDEN: and_(Scan.reader_verdict.is_not(None), Scan.reader_agrees.is_(False)),
}


def find(session: Session, wanted: Wanted, limit: int, before: int | None = None) -> list[tuple[Scan, Job]]:
    """Scans that match with their patients and latest jobs, from before the scan with scans.id `before`.

    Their evidence maps, most of a row, stay in the database.
    """
    query = with_jobs(with_maps=False).where(*_conditions(wanted))
    if before is not None:
        start = select(_EARLIER.created_at, _EARLIER.id).where(_EARLIER.id == before).scalar_subquery()
        query = query.where(tuple_(Scan.created_at, Scan.id) < start)
    ordered = query.order_by(Scan.created_at.desc(), Scan.id.desc()).limit(limit)
    return [(scan, job) for scan, job in session.execute(ordered)]


def id_of(session: Session, display_id: str) -> int | None:
    """scans.id of the scan with this `S…`, in any case."""
    names = (display_id, display_id.upper())
    return session.scalar(select(Scan.id).where(Scan.scan_id.in_(names)).limit(1))


def owners(session: Session, display_ids: Collection[str]) -> list[Patient]:
    """The patients whose scans these are, each once."""
    known = [display_id for display_id in display_ids if "\0" not in display_id]
    of_scans = select(Scan.patient_id).where(Scan.scan_id.in_(known))
    return list(session.scalars(select(Patient).where(Patient.id.in_(of_scans)).order_by(Patient.id)))


def beside(session: Session, scan: Scan) -> tuple[int | None, int | None]:
    """scans.id of the same patient's next older and next newer scan."""
    query = select(Scan.id).where(Scan.patient_id == scan.patient_id).limit(1)
    older = session.scalar(query.where(Scan.id < scan.id).order_by(Scan.id.desc()))
    newer = session.scalar(query.where(Scan.id > scan.id).order_by(Scan.id))
    return older, newer


def _conditions(wanted: Wanted) -> list[ColumnElement[bool]]:
    chosen = [
        None if wanted.since is None else Scan.created_at >= wanted.since,
        None if wanted.until is None else Scan.created_at < wanted.until,
        None if wanted.patient_id is None else Scan.patient_id == wanted.patient_id,
        None if wanted.reading is None else _READINGS[wanted.reading],
    ]
    return [*_found(wanted.found), *(condition for condition in chosen if condition is not None)]


def _found(found: Found | None) -> list[ColumnElement[bool]]:
    if found is None:
        return []
    if found in _RESULTS:
        return [_RESULTS[found], Job.status == JobStatus.SUCCEEDED]
    of_jobs = select(_JOBS.scan_id).where(_JOBS.kind == JobKind.SCAN, _JOBS.status.in_(_STATUSES[found]))
    # The first lets Postgres begin at the few jobs, the second says it of the scan's latest one.
    return [Scan.id.in_(of_jobs), Job.status.in_(_STATUSES[found])]
