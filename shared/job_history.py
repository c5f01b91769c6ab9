"""What has become of one thing's jobs, step by step. Functions take a session and change nothing."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from shared.models import Job, JobEvent


@dataclass(frozen=True, slots=True)
class History:
    """A job and its ledger, oldest line first."""

    job: Job
    events: Sequence[JobEvent]


def of_scan(session: Session, scan_id: int) -> list[History]:
    """The jobs of a scan (scans.id), newest first: one, unless a repair has made another."""
    jobs = session.scalars(select(Job).where(Job.scan_id == scan_id).order_by(Job.position.desc()))
    return [_with_events(session, job) for job in jobs]


def of_report(session: Session, report_id: int) -> History | None:
    """The job of a report (reports.id); none of those taken over from the replaced system has one."""
    newest = select(Job).where(Job.report_id == report_id).order_by(Job.position.desc()).limit(1)
    job = session.scalar(newest)
    return None if job is None else _with_events(session, job)


def of_job(session: Session, job: Job) -> History:
    """A loaded job with its ledger."""
    return _with_events(session, job)


def _with_events(session: Session, job: Job) -> History:
    query = select(JobEvent).where(JobEvent.job_id == job.id).order_by(JobEvent.id)
    return History(job, list(session.scalars(query)))
