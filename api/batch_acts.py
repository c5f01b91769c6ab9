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


def retry_failed(batch_id: uuid.UUID) -> int:
    """Have all failed jobs of the batch run again. Returns how many. Raises `QueueFullError`."""
    refuse_if_full()
    with services().sessions.begin() as session:
        jobs = job_control.retry_failed(session, batch_id)
        note(session, "batch.retried", f"batch:{batch_id}", jobs=len(jobs))
    for lane in Lane:
        waiting = [job for job in jobs if job.lane == lane]
        if waiting:
            services().queue.wake(JobKind.SCAN, lane, hints(waiting))
    return len(jobs)
