"""What the staff does to batches, for the JSON routes and the pages alike."""

import time
import uuid

from api.acts import note
from api.intake import refuse_if_full
from api.wiring import services
from shared import batches, job_control
from shared.models import JobKind, Lane
from shared.queue import hints

CANCEL_TRIES = 50
CANCEL_PAUSE_S = 0.1


def cancel(batch_id: uuid.UUID) -> int:
    """Cancel what is left; the batch takes no more scans. Returns how many jobs ended. Safe to repeat."""
    sessions = services().sessions
    with sessions.begin() as session:
        batches.close(session, batch_id)
        note(session, "batch.cancelled", f"batch:{batch_id}")
    cancelled = 0
    for _ in range(CANCEL_TRIES):
        with sessions.begin() as session:
            cancelled += job_control.cancel_some(session, batch_id)
        with sessions() as session:
            if not job_control.count_unfinished(session, batch_id):
                break
        time.sleep(CANCEL_PAUSE_S)
    return cancelled


def retry(batch_id: uuid.UUID, job_id: uuid.UUID | None = None) -> int:
    """Run the batch's failed jobs again, or just this one of them. Returns how many were queued.

    Raises `QueueFullError` while too much work waits.
    """
    refuse_if_full()
    with services().sessions.begin() as session:
        jobs = job_control.retry_failed(session, batch_id, job_id)
        for job in jobs if job_id else ():
            note(session, "job.retried", f"job:{job.id}")
        if jobs and job_id is None:
            note(session, "batch.retried", f"batch:{batch_id}", jobs=len(jobs))
    for lane in Lane:
        if waiting := [job for job in jobs if job.lane == lane]:
            services().queue.wake(JobKind.SCAN, lane, hints(waiting))
    return len(jobs)
