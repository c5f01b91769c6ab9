"""Numbers for the dashboard. Functions take a session and change nothing."""

from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from shared import reviews
from shared.models import UNFINISHED, Job, JobKind, JobStatus, Lane, Patient, Report, Scan
from shared.results import NEEDS_REVIEW, NO_TUMOR, REJECTED, TUMOR


def dashboard(session: Session, is_gated: bool = False) -> dict[str, Any]:
    """Totals, scans by outcome, readers' verdicts, and how the queue stands. `is_gated`: RELEASE_GATE."""
    patients = session.execute(select(func.count()).select_from(Patient)).scalar_one()
    reports = session.execute(
        select(func.count()).select_from(Report).where(Report.report_path.is_not(None))
    ).scalar_one()
    scan_stats = _scan_stats(session)
    return {
        "total_patients": patients,
        "total_scans": scan_stats["total_scans"],
        "total_reports": reports,
        "scan_stats": scan_stats,
        "review_stats": reviews.statistics(session, is_gated),
        "queue": _queue(session),
    }


def _scan_stats(session: Session) -> dict[str, int]:
    """Counted in the index `ix_scans_outcome`, which is much smaller than the table."""
    rows = session.execute(
        select(Scan.prediction, Scan.review, func.count()).group_by(Scan.prediction, Scan.review)
    )
    groups = [(prediction, review, int(number)) for prediction, review, number in rows]
    total = sum(number for _, _, number in groups)
    stats = {
        "tumor_count": sum(number for prediction, _, number in groups if prediction == TUMOR),
        "no_tumor_count": sum(number for prediction, _, number in groups if prediction == NO_TUMOR),
        "needs_review_count": sum(number for _, review, number in groups if review == NEEDS_REVIEW),
        "rejected_count": sum(number for _, review, number in groups if review == REJECTED),
    }
    return {"total_scans": total, **stats, "unanalysed_count": total - sum(stats.values())}


def _queue(session: Session) -> dict[str, Any]:
    """Each status by itself: then each is counted in its own index."""
    counts = {str(status): _by_kind(session, status) for status in (*UNFINISHED, JobStatus.FAILED)}
    return {**counts, "oldest_queued_seconds": oldest_queued_seconds(session)}


def _by_kind(session: Session, status: JobStatus) -> dict[str, int]:
    rows = session.execute(select(Job.kind, func.count()).where(Job.status == status).group_by(Job.kind))
    return {str(kind): 0 for kind in JobKind} | {str(kind): number for kind, number in rows}


def oldest_queued_seconds(session: Session) -> float:
    """How long the job that came first has been waiting; 0 if none waits."""
    oldest = [
        session.execute(
            select(func.extract("epoch", func.now() - Job.created_at))
            .where(Job.kind == kind, Job.lane == lane, Job.status == JobStatus.QUEUED)
            .order_by(Job.position)
            .limit(1)
        ).scalar()
        for kind in JobKind
        for lane in Lane
    ]
    return round(max((float(age) for age in oldest if age is not None), default=0.0), 1)


def waiting_by_lane(session: Session) -> dict[tuple[JobKind, Lane], int]:
    """Queued jobs of each kind and lane that has any."""
    query = select(Job.kind, Job.lane, func.count()).where(Job.status == JobStatus.QUEUED)
    rows = session.execute(query.group_by(Job.kind, Job.lane))
    return {(JobKind(kind), Lane(lane)): number for kind, lane, number in rows}
