"""Removing rows, each kind with all that hangs on it. Functions take a session and never commit.

The rows are locked by the caller: from then on nothing new can refer to them.
"""

from collections.abc import Sequence

from sqlalchemy import delete, exists, func, select, update
from sqlalchemy.orm import Session

from shared.models import Batch, BatchOrigin, IdempotencyKey, Job, Mail, Report, Scan, report_scans
from shared.retention.doomed import doom
from shared.storage.choice import IMAGES, REPORTS, STAGING

_SILENTLY = {"synchronize_session": False}


def remove_scans(session: Session, ids: Sequence[int]) -> None:
    """Remove scans that no report covers, with jobs, ledgers, emptied batches and remembered answers."""
    if not ids:
        return
    columns = (Scan.original_path, Scan.is_staged, Scan.heatmap_path, Scan.overlay_path)
    for original, is_staged, heatmap, overlay in session.execute(select(*columns).where(Scan.id.in_(ids))):
        # A worker may have brought a staged original to the images without having recorded it.
        doom(session, [(IMAGES, original), (IMAGES, heatmap), (IMAGES, overlay)])
        doom(session, [(STAGING, original)] if is_staged else [])
    removed = delete(Job).where(Job.scan_id.in_(ids)).returning(Job.batch_id)
    batches = {batch for batch in session.scalars(removed, execution_options=_SILENTLY) if batch}
    session.execute(delete(Scan).where(Scan.id.in_(ids)), execution_options=_SILENTLY)
    answered = IdempotencyKey.answer["batch_id"].astext.in_([str(batch) for batch in batches])
    session.execute(delete(IdempotencyKey).where(answered), execution_options=_SILENTLY)
    is_empty = ~exists().where(Job.batch_id == Batch.id)
    # One that was asked for may still be filled by its client.
    is_over = (Batch.origin == BatchOrigin.UPLOAD) | (
        Batch.created_at < func.now() - func.make_interval(0, 0, 0, 1)
    )
    session.execute(
        delete(Batch).where(Batch.id.in_(batches), is_empty, is_over), execution_options=_SILENTLY
    )


def remove_reports(session: Session, ids: Sequence[int]) -> None:
    """Remove reports with their jobs; their scans name the newest other report, or none.

    Doomed are the PDFs in the report store; files of the replaced system are the caller's.
    """
    if not ids:
        return
    rows = session.execute(select(Report.report_path, Report.is_legacy).where(Report.id.in_(ids))).all()
    paths = [path for path, _ in rows if path is not None]
    doom(session, [(REPORTS, path) for path, is_legacy in rows if not is_legacy])
    covered = select(report_scans.c.scan_id).where(report_scans.c.report_id.in_(ids))
    other = (
        select(Report.report_path)
        .join(report_scans, report_scans.c.report_id == Report.id)
        .where(report_scans.c.scan_id == Scan.id, Report.report_path.is_not(None), Report.id.not_in(ids))
        .order_by(Report.id.desc())
        .limit(1)
        .correlate(Scan)
        .scalar_subquery()
    )
    session.execute(
        update(Scan).where(Scan.id.in_(covered), Scan.report_path.in_(paths)).values(report_path=other),
        execution_options=_SILENTLY,
    )
    session.execute(delete(Job).where(Job.report_id.in_(ids)), execution_options=_SILENTLY)
    session.execute(delete(Report).where(Report.id.in_(ids)), execution_options=_SILENTLY)


def remove_mails(session: Session, ids: Sequence[int]) -> None:
    """Remove mails with their jobs."""
    if ids:
        session.execute(delete(Job).where(Job.mail_id.in_(ids)), execution_options=_SILENTLY)
        session.execute(delete(Mail).where(Mail.id.in_(ids)), execution_options=_SILENTLY)
