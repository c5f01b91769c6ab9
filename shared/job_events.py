"""The ledger of jobs: a row for each change of status, in the transaction that makes the change.

Functions take a session and never commit.
"""

import uuid
from collections.abc import Iterable

from sqlalchemy import insert
from sqlalchemy.orm import Session

from shared.models import JobEvent, JobStatus


def created(session: Session, job_ids: Iterable[uuid.UUID]) -> None:
    """The first line of a job's ledger."""
    session.execute(
        insert(JobEvent),
        [
            {"job_id": job_id, "attempt": 0, "status_to": JobStatus.QUEUED, "reason": "created"}
            for job_id in job_ids
        ],
    )


def changed(
    session: Session,
    attempts: Iterable[tuple[uuid.UUID, int]],
    source: JobStatus,
    to: JobStatus,
    reason: str,
) -> None:
    """These attempts of these jobs went from one status to another."""
    rows = [
        {"job_id": job_id, "attempt": attempt, "status_from": source, "status_to": to, "reason": reason}
        for job_id, attempt in attempts
    ]
    if rows:
        session.execute(insert(JobEvent), rows)
