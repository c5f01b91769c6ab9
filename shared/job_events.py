"""The ledger of jobs: a row for each change of status, in the transaction that makes the change.

Functions take a session and never commit.
"""

import uuid
from collections.abc import Iterable
from typing import cast

from sqlalchemy import Table, insert
from sqlalchemy.orm import Session

from shared.models import JobEvent, JobStatus

_LINES = insert(cast(Table, JobEvent.__table__))  # of the class it would take twice as long


def created(session: Session, job_ids: Iterable[uuid.UUID]) -> None:
    """The first line of a job's ledger."""
    session.connection().execute(
        _LINES,
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
        session.connection().execute(_LINES, rows)
