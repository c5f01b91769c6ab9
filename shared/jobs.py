"""Every change of a job's state.

Functions take a session and never commit: the caller's transaction makes the change true. Time is Postgres'
time, never a worker's clock. A worker's write counts only while the row is running under the worker's own
attempt number (fencing), so a worker that was paused past its lease changes nothing when it wakes up.
"""

import uuid
from collections.abc import Iterable, Sequence
from datetime import timedelta

from sqlalchemy import ColumnElement, Double, Interval, and_, bindparam, cast, func, select, tuple_, update
from sqlalchemy.orm import Session

from shared import job_events
from shared.attempts import Claim, Failure
from shared.due_jobs import FRESH, SUSPECTS
from shared.models import Job, JobKind, JobStatus, Lane, Stage

WORKER_LOST = "WORKER_LOST"
GIVEN_BACK = "given back"
MAX_RETRY_SECONDS = 300
_SUBJECT_ID = func.coalesce(Job.scan_id, Job.report_id, Job.mail_id)
_TRIES = Job.attempt - Job.spent_attempts
_WAITED = cast(func.extract("epoch", func.now() - Job.run_after), Double)
_LOST = {
    "status": JobStatus.FAILED,
    "crash_count": Job.crash_count + 1,
    "error_code": WORKER_LOST,
    "error_message": "The worker stopped while it worked on this job, on every attempt.",
}
# Made once: with each batch it would take as long as its answer.
_CLAIM = (
    update(Job)
    .where(Job.id.in_(bindparam("ids", expanding=True)))
    .values(
        status=JobStatus.RUNNING,
        stage=Stage.CLAIMED,
        attempt=Job.attempt + 1,
        lease_owner=bindparam("owner"),
        lease_until=func.now() + bindparam("lease", type_=Interval),
        started_at=func.coalesce(Job.started_at, func.now()),
    )
    .returning(Job.id, _SUBJECT_ID, Job.attempt, _TRIES, Job.batch_id, _WAITED, Job.position)
    .execution_options(synchronize_session=False)
)


def claim(
    session: Session, kind: JobKind, owner: str, limit: int, lease_seconds: float, bulk_first: bool = False
) -> list[Claim]:
    """Take a suspect if one is due, up to `limit` others if not: for a worker that has nothing in flight."""
    suspects = claim_suspect(session, kind, owner, lease_seconds)
    return suspects or claim_fresh(session, kind, owner, limit, lease_seconds, bulk_first)


def claim_suspect(session: Session, kind: JobKind, owner: str, lease_seconds: float) -> list[Claim]:
    """Take the oldest due job whose last attempt ended in a crash: it may be what kills workers.

    Whoever takes it has nothing else in flight: what crashes beside it would use up its own attempts.
    """
    suspects = list(session.scalars(SUSPECTS, {"kind": kind, "limit": 1}))
    return _claim(session, suspects, owner, lease_seconds)


def claim_fresh(
    session: Session, kind: JobKind, owner: str, limit: int, lease_seconds: float, bulk_first: bool = False
) -> list[Claim]:
    """Take up to `limit` due jobs that never crashed, oldest first, skipping rows that others are taking.

    Interactive jobs come first unless `bulk_first`.
    """
    ids: list[uuid.UUID] = []
    for lane in (Lane.BULK, Lane.INTERACTIVE) if bulk_first else (Lane.INTERACTIVE, Lane.BULK):
        if rest := limit - len(ids):
            ids += session.scalars(FRESH, {"kind": kind, "lane": lane, "limit": rest})
    return _claim(session, ids, owner, lease_seconds)


def _claim(session: Session, ids: Sequence[uuid.UUID], owner: str, lease_seconds: float) -> list[Claim]:
    if not ids:
        return []
    lease = timedelta(seconds=lease_seconds)
    rows = session.execute(_CLAIM, {"ids": ids, "owner": owner, "lease": lease}).all()
    claims = [Claim(*row[:6]) for row in sorted(rows, key=lambda row: row.position)]
    _log(session, claims, JobStatus.QUEUED, JobStatus.RUNNING, "claimed")
    return claims


def renew(session: Session, claims: Sequence[Claim], lease_seconds: float) -> None:
    """Extend the lease of claims that are still valid."""
    if claims:
        session.execute(
            update(Job)
            .where(_holds(claims))
            .values(lease_until=func.now() + timedelta(seconds=lease_seconds))
            .execution_options(synchronize_session=False)
        )


def succeed(session: Session, claims: Sequence[Claim]) -> list[Claim]:
    """End jobs as succeeded. Returns the claims that were still valid: only their results may be kept."""
    values: dict[str, object] = {
        "status": JobStatus.SUCCEEDED,
        "stage": Stage.DONE,
        "error_code": None,
        "error_message": None,
    }
    return _end(session, claims, values, "succeeded")


def fail(
    session: Session,
    failures: Sequence[Failure],
    max_attempts: int,
    retry_seconds: float,
    outage_attempts: int = 0,
) -> list[Failure]:
    """End attempts that failed: queued again after a pause that doubles, or failed for good.

    Returns the failures that were final.
    """
    counted = [failure for failure in failures if failure.is_counted(outage_attempts)]
    final = [failure for failure in counted if not failure.retry or failure.claim.tries >= max_attempts]
    for failure in failures:
        cause = {"error_code": failure.code, "error_message": failure.message}
        if failure in final:
            values: dict[str, object] = {"status": JobStatus.FAILED, "stage": failure.stage, **cause}
            _end(session, [failure.claim], values, failure.code)
            continue
        number = failure.claim.tries if failure in counted else failure.claim.attempt
        pause = min(retry_seconds * 2 ** (number - 1), MAX_RETRY_SECONDS)
        requeued = {"run_after": func.now() + timedelta(seconds=pause), **_unclaimed(), **cause}
        if failure not in counted:
            requeued["spent_attempts"] = Job.spent_attempts + 1
        _change(session, [failure.claim], requeued, JobStatus.QUEUED, failure.code)
    return final


def give_back(session: Session, claims: Sequence[Claim]) -> None:
    """Queue claims again that nothing was done with; such an attempt is not counted against the job."""
    values = {**_unclaimed(), "spent_attempts": Job.spent_attempts + 1}
    _change(session, claims, values, JobStatus.QUEUED, GIVEN_BACK)


def give_up_crashed(
    session: Session, claims: Sequence[Claim], max_attempts: int, retry_seconds: float
) -> None:
    """Treat claims like those of a worker that died: retried alone, or failed when attempts are used up."""
    _requeue_crashed(session, [c for c in claims if c.tries < max_attempts], retry_seconds)
    _end(session, [c for c in claims if c.tries >= max_attempts], _LOST, WORKER_LOST)


def expire_leases(session: Session, max_attempts: int, retry_seconds: float, *kinds: JobKind) -> int:
    """Take jobs (of these kinds) from workers whose lease ran out. Returns how many. May run at any time."""
    rows = session.execute(
        select(Job.id, _SUBJECT_ID, Job.attempt, _TRIES)
        .where(Job.status == JobStatus.RUNNING, Job.lease_until < func.now(), Job.kind.in_(kinds or JobKind))
        .with_for_update(skip_locked=True)
    ).all()
    give_up_crashed(session, [Claim(*row[:4]) for row in rows], max_attempts, retry_seconds)
    return len(rows)


def _holds(claims: Iterable[Claim]) -> ColumnElement[bool]:
    pairs = [(c.job_id, c.attempt) for c in claims]
    return and_(tuple_(Job.id, Job.attempt).in_(pairs), Job.status == JobStatus.RUNNING)


def _end(session: Session, claims: Sequence[Claim], values: dict[str, object], reason: str) -> list[Claim]:
    status = JobStatus(str(values["status"]))
    ended = {**values, "lease_owner": None, "lease_until": None, "finished_at": func.now()}
    return _change(session, claims, ended, status, reason)


def _requeue_crashed(session: Session, claims: Sequence[Claim], retry_seconds: float) -> None:
    by_tries: dict[int, list[Claim]] = {}
    for held in claims:
        by_tries.setdefault(held.tries, []).append(held)
    for tries, group in by_tries.items():
        # A first crash is most often a restarted machine: that retry need not wait.
        pause = 0 if tries == 1 else min(retry_seconds * 2 ** (tries - 1), MAX_RETRY_SECONDS)
        values = {
            **_unclaimed(),
            "run_after": func.now() + timedelta(seconds=pause),
            "crash_count": Job.crash_count + 1,
        }
        _change(session, group, values, JobStatus.QUEUED, WORKER_LOST)


def _unclaimed() -> dict[str, object]:
    return {"status": JobStatus.QUEUED, "stage": Stage.WAITING, "lease_owner": None, "lease_until": None}


def _change(
    session: Session, claims: Sequence[Claim], values: dict[str, object], to: JobStatus, reason: str
) -> list[Claim]:
    if not claims:
        return []
    statement = (
        update(Job)
        .where(_holds(claims))
        .values(**values)
        .returning(Job.id)
        .execution_options(synchronize_session=False)
    )
    changed = set(session.scalars(statement))
    held = [c for c in claims if c.job_id in changed]
    _log(session, held, JobStatus.RUNNING, to, reason)
    return held


def _log(session: Session, claims: Sequence[Claim], source: JobStatus, to: JobStatus, reason: str) -> None:
    job_events.changed(session, [(c.job_id, c.attempt) for c in claims], source, to, reason)
