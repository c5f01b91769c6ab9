"""What pages let people do to jobs, as the JSON routes do it."""

import uuid

from api.acts import note
from api.intake import refuse_if_full
from api.wiring import services
from shared import job_control
from shared.queue import hints


def retry(job_id: uuid.UUID) -> None:
    """Have a failed or cancelled job run again.

    Raises `ConflictError` for a job in any other state, and `QueueFullError`.
    """
    refuse_if_full()
    with services().sessions.begin() as session:
        job = job_control.retry(session, job_id)
        note(session, "job.retried", f"job:{job_id}")
    services().queue.wake(job.kind, job.lane, hints([job]))


def cancel(job_id: uuid.UUID) -> None:
    """End an unfinished job without a result. Raises `ConflictError` for one that has ended otherwise."""
    with services().sessions.begin() as session:
        job_control.cancel(session, job_id)
        note(session, "job.cancelled", f"job:{job_id}")
