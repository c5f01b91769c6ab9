"""What polls show of jobs, in plain columns: objects of four tables cost more than the question itself."""

import uuid
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ARRAY, ColumnElement, Select, Uuid, any_, bindparam, case, func, null, select
from sqlalchemy.orm import Session, aliased

from shared.models import Job, JobKind, JobStatus, Mail, Report, Scan, Stage


class PolledScan(NamedTuple):
    """Columns of scans, by their names."""

    id: int
    patient_id: int
    scan_id: str
    heatmap_path: str | None
    prediction: str | None
    confidence: float | None
    probability: float | None
    raw_probability: float | None
    rejection: dict[str, Any] | None
    tumor_type: str | None
    review: str | None
    class_probabilities: dict[str, Any] | None


class PolledReport(NamedTuple):
    """Columns of reports, by their names."""

    id: int
    patient_id: int
    report_id: str
    report_path: str | None
    scan_count: int
    tumor_count: int
    no_tumor_count: int
    created_at: datetime


class PolledMail(NamedTuple):
    """Columns of mails, by their names."""

    id: int
    patient_id: int
    sent_at: datetime | None


class PolledJob(NamedTuple):
    """Columns of jobs, by their names, and what the job is about.

    `ahead`: how many older jobs of its kind and lane are queued, if it is queued itself and was counted.
    """

    id: uuid.UUID
    kind: JobKind
    status: JobStatus
    stage: Stage
    attempt: int
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    batch_id: uuid.UUID | None
    error_code: str | None
    error_message: str | None
    ahead: int | None
    scan: PolledScan | None
    report: PolledReport | None
    mail: PolledMail | None


_OLDER = aliased(Job)
_AHEAD = case(
    (
        Job.status == JobStatus.QUEUED,
        select(func.count())
        .where(
            _OLDER.kind == Job.kind,
            _OLDER.lane == Job.lane,
            _OLDER.status == JobStatus.QUEUED,
            _OLDER.position < Job.position,
        )
        .scalar_subquery(),
    )
)


def _columns(table: Any, names: Sequence[str]) -> list[Any]:
    return [getattr(table, name) for name in names]


_OF_JOB = PolledJob._fields[:-4]
_SCAN_AT = len(_OF_JOB) + 1
_REPORT_AT = _SCAN_AT + len(PolledScan._fields)
_MAIL_AT = _REPORT_AT + len(PolledReport._fields)


def _by_ids(ahead: ColumnElement[Any]) -> Select[Any]:
    return (
        select(
            *_columns(Job, _OF_JOB),
            ahead,
            *_columns(Scan, PolledScan._fields),
            *_columns(Report, PolledReport._fields),
            *_columns(Mail, PolledMail._fields),
        )
        .outerjoin(Scan, Scan.id == Job.scan_id)
        .outerjoin(Report, Report.id == Job.report_id)
        .outerjoin(Mail, Mail.id == Job.mail_id)
        .where(Job.id == any_(bindparam("ids", type_=ARRAY(Uuid))))
    )


_BY_IDS, _BY_IDS_WITH_PLACES = _by_ids(null()), _by_ids(_AHEAD)  # built once


def read(session: Session, job_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, PolledJob]:
    """Jobs by id, their places not counted; unknown ids are left out."""
    return _read(session, _BY_IDS, job_ids)


def read_with_places(session: Session, job_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, PolledJob]:
    """As `read`, each queued job with its place: a count that is worth it for some, not for five hundred."""
    return _read(session, _BY_IDS_WITH_PLACES, job_ids)


def _read(
    session: Session, statement: Select[Any], job_ids: Collection[uuid.UUID]
) -> dict[uuid.UUID, PolledJob]:
    return {row[0]: _polled(row) for row in session.execute(statement, {"ids": list(job_ids)})}


def _polled(row: Sequence[Any]) -> PolledJob:
    scan, report, mail = row[_SCAN_AT:_REPORT_AT], row[_REPORT_AT:_MAIL_AT], row[_MAIL_AT:]
    subjects = (
        None if scan[0] is None else PolledScan._make(scan),
        None if report[0] is None else PolledReport._make(report),
        None if mail[0] is None else PolledMail._make(mail),
    )
    return PolledJob._make((*row[:_SCAN_AT], *subjects))
