"""Numbers for the dashboard. Functions take a session and change nothing."""

from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from shared import reviews
from shared.models import UNFINISHED, Job, JobKind, JobStatus, Patient, Report, Scan
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
    counted = session.execute(
        select(
            func.count(),
            func.count().filter(Scan.prediction == TUMOR),
            func.count().filter(Scan.prediction == NO_TUMOR),
            func.count().filter(Scan.review == NEEDS_REVIEW),
            func.count().filter(Scan.review == REJECTED),
        ).select_from(Scan)
    ).one()
    names = ("total_scans", "tumor_count", "no_tumor_count", "needs_review_count", "rejected_count")
    stats = dict(zip(names, counted, strict=True))
    stats["unanalysed_count"] = counted[0] - sum(counted[1:])
    return stats


def _queue(session: Session) -> dict[str, Any]:
    query = select(
        Job.kind,
        Job.status,
        func.count(),
        func.extract("epoch", func.now() - func.min(Job.created_at)),
    ).where(Job.status.in_((*UNFINISHED, JobStatus.FAILED)))
    rows = session.execute(query.group_by(Job.kind, Job.status)).all()
    counts = {str(status): {str(kind): 0 for kind in JobKind} for status in (*UNFINISHED, JobStatus.FAILED)}
    oldest = 0.0
    for kind, status, number, age in rows:
        counts[status][kind] = number
        if status == JobStatus.QUEUED:
            oldest = max(oldest, float(age))
    return {**counts, "oldest_queued_seconds": round(oldest, 1)}
