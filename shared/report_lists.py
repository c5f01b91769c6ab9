"""Reports in every state, for the staff. Functions take a session and change nothing."""

from datetime import timedelta

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session, contains_eager, joinedload, selectinload

from shared.errors import NotFoundError
from shared.models import UNFINISHED, Job, JobKind, JobStatus, Patient, Report, Scan

FAILED_SHOWN = timedelta(days=7)


def unfinished(session: Session, limit: int) -> list[tuple[Report, Job]]:
    """Reports that are waited for, newest first, with their patients."""
    return _rows(session, _with_jobs().where(Job.status.in_(UNFINISHED)), limit)


def failed(session: Session, limit: int) -> list[tuple[Report, Job]]:
    """Reports that failed in the last week and were not made since, newest first, with their patients."""
    recent = Job.finished_at > func.now() - FAILED_SHOWN
    return _rows(session, _with_jobs().where(Job.status == JobStatus.FAILED, recent), limit)


def find(session: Session, report_id: str) -> Report:
    """A report in any state by its display id, with patient and scans. Raises `NotFoundError`."""
    if "\0" in report_id:
        raise NotFoundError("Report not found")  # no text in Postgres has it
    query = select(Report).where(Report.report_id.in_((report_id, report_id.upper())))
    report = session.scalar(
        query.options(joinedload(Report.patient), selectinload(Report.scans).defer(Scan.explanation))
        .order_by((Report.report_id == report_id).desc())
        .limit(1)
    )
    if report is None:
        raise NotFoundError("Report not found")
    return report


def _with_jobs() -> Select[Report, Job]:
    return (
        select(Report, Job)
        .join(Job, Job.report_id == Report.id)
        .join(Patient, Patient.id == Report.patient_id)
        .options(contains_eager(Report.patient))
        .where(Job.kind == JobKind.REPORT)
    )


def _rows(session: Session, query: Select[Report, Job], limit: int) -> list[tuple[Report, Job]]:
    return [
        (report, job) for report, job in session.execute(query.order_by(Job.position.desc()).limit(limit))
    ]
