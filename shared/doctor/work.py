"""Who works, what waits, and what went wrong lately."""

from collections.abc import Iterator
from datetime import timedelta

from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from shared.doctor.finding import Finding, ok, problem, warning
from shared.heartbeat import SILENT_AFTER_S
from shared.models import Job, JobStatus, Worker

ROLES = {"scan": "scans are not analysed", "report": "reports and mails are not made"}
LONG_WAIT_S = 600
LOOK_BACK_H = 24


def check(sessions: sessionmaker[Session]) -> Iterator[Finding]:
    try:
        with sessions() as session:
            found = [*_workers(session), *_waiting(session), _failed(session)]
    except SQLAlchemyError:
        text = "Workers and jobs cannot be looked at: mend the database or its schema first."
        found = [problem("work", text)]
    yield from found


def _workers(session: Session) -> Iterator[Finding]:
    cutoff = func.now() - timedelta(seconds=SILENT_AFTER_S)
    query = select(Worker.role, func.count()).where(Worker.last_seen_at > cutoff).group_by(Worker.role)
    alive = {row[0]: row[1] for row in session.execute(query)}
    for role, loss in ROLES.items():
        name = f"{role} workers"
        if alive.get(role):
            yield ok(name, f"{alive[role]} alive")
        else:
            yield problem(
                name, f"None is alive, {loss}: start a worker with WORKER_ROLE={role}, or read its log."
            )


def _waiting(session: Session) -> Iterator[Finding]:
    age = func.extract("epoch", func.now() - func.min(Job.run_after))
    query = select(Job.kind, func.count(), age).where(
        Job.status == JobStatus.QUEUED, Job.run_after <= func.now()
    )
    rows = session.execute(query.group_by(Job.kind).order_by(Job.kind)).all()
    if not rows:
        yield ok("queue", "nothing waits")
    for kind, number, seconds in rows:
        text = f"{number} {kind} jobs wait, the oldest for {seconds:.0f} s"
        if seconds > LONG_WAIT_S:
            yield warning("queue", f"{text}: start more workers, or read their logs.")
        else:
            yield ok("queue", text)


def _failed(session: Session) -> Finding:
    since = func.now() - timedelta(hours=LOOK_BACK_H)
    query = select(Job.kind, Job.error_code, func.count()).where(
        Job.status == JobStatus.FAILED, Job.finished_at > since
    )
    rows = session.execute(
        query.group_by(Job.kind, Job.error_code).order_by(func.count().desc(), Job.kind, Job.error_code)
    ).all()
    if not rows:
        return ok("failures", f"none in the last {LOOK_BACK_H} hours")
    causes = ", ".join(f"{number} {kind} {code}" for kind, code, number in rows)
    return warning(
        "failures",
        f"Jobs failed in the last {LOOK_BACK_H} hours ({causes}): `python -m api.cli list-failed-jobs` says "
        "why, `retry-jobs` tries again.",
    )
