"""Finding scans among all of them. Functions take a session and change nothing.

Lists are newest first by the time of the upload, which a range of dates and every page of the list can enter
through an index, however many scans there are. Those of unfinished, failed and cancelled analyses go by the
jobs' age, which is the same order: each is a small index of jobs, wherever among millions of scans they are.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import ColumnElement, Select, and_, exists, func, select, tuple_
from sqlalchemy.orm import Session, aliased, defer, joinedload

from shared.models import UNFINISHED, Job, JobKind, JobStatus, Patient, Scan
from shared.results import NEEDS_REVIEW, NO_TUMOR, REJECTED, TUMOR
from shared.scans import with_jobs

_OTHER = aliased(Scan)  # made once: an alias costs more than the query that it is for
_OTHER_JOB = aliased(Job)
_IS_DONE = Job.status == JobStatus.SUCCEEDED  # else the result is an earlier one


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
    Found.TUMOR: and_(Scan.prediction == TUMOR, Scan.review.is_(None), _IS_DONE),
    Found.NO_TUMOR: and_(Scan.prediction == NO_TUMOR, Scan.review.is_(None), _IS_DONE),
    Found.NEEDS_REVIEW: and_(Scan.prediction.is_(None), Scan.review == NEEDS_REVIEW, _IS_DONE),
    Found.REJECTED: and_(Scan.prediction.is_(None), Scan.review == REJECTED, _IS_DONE),
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
    statuses = None if wanted.found is None else _STATUSES.get(wanted.found)
    query = _by_upload(before) if statuses is None else _by_job(statuses, before)
    rows = session.execute(query.where(*_conditions(wanted)).limit(limit))
    return [(scan, job) for scan, job in rows]


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


def _by_upload(before: int | None) -> Select[Scan, Job]:
    query = with_jobs(with_maps=False).order_by(Scan.created_at.desc(), Scan.id.desc())
    if before is None:
        return query
    start = select(_OTHER.created_at, _OTHER.id).where(_OTHER.id == before).scalar_subquery()
    return query.where(tuple_(Scan.created_at, Scan.id) < start)


def _by_job(statuses: Collection[JobStatus], before: int | None) -> Select[Scan, Job]:
    """Begins at the jobs: looking for the latest one of each scan first would look at every scan."""
    is_later = and_(_OTHER_JOB.scan_id == Job.scan_id, _OTHER_JOB.position > Job.position)
    query = (
        select(Scan, Job)
        .join(Job, Job.scan_id == Scan.id)
        .options(joinedload(Scan.patient), defer(Scan.explanation))
        .where(Job.kind == JobKind.SCAN, Job.status.in_(statuses), ~exists().where(is_later))
        .order_by(Job.position.desc())
    )
    if before is None:
        return query
    start = select(func.max(_OTHER_JOB.position)).where(_OTHER_JOB.scan_id == before).scalar_subquery()
    return query.where(Job.position < start)


def _conditions(wanted: Wanted) -> list[ColumnElement[bool]]:
    chosen = [
        None if wanted.found is None else _RESULTS.get(wanted.found),
        None if wanted.since is None else Scan.created_at >= wanted.since,
        None if wanted.until is None else Scan.created_at < wanted.until,
        None if wanted.patient_id is None else Scan.patient_id == wanted.patient_id,
        None if wanted.reading is None else _READINGS[wanted.reading],
    ]
    return [condition for condition in chosen if condition is not None]
