"""Jobs that failed for good: the causes, the jobs of each, and having them run again."""

import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from shared import job_control, job_queries
from shared.errors import ConflictError
from shared.migrations.taken_over_work import NOT_TAKEN_OVER
from shared.models import Job, JobKind, JobStatus, Lane
from shared.queue import Hint, Queue, hints
from shared.services import Services

ROWS_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Cause:
    """Why jobs of one kind failed, how many, and when the last of them. `message` is one of theirs."""

    kind: JobKind
    code: str | None
    number: int
    message: str | None
    last_at: datetime | None


def causes(session: Session) -> list[Cause]:
    """All causes of jobs that are failed now, the latest first."""
    last_at = func.max(Job.finished_at)
    query = (
        select(Job.kind, Job.error_code, func.count(), func.max(Job.error_message), last_at)
        .where(Job.status == JobStatus.FAILED)
        .group_by(Job.kind, Job.error_code)
        .order_by(last_at.desc().nulls_last())
    )
    return [Cause(JobKind(row[0]), *row[1:]) for row in session.execute(query)]


def page(
    session: Session, limit: int, before: int | None, kind: JobKind | None, code: str | None
) -> list[Job]:
    """Failed jobs with this cause, newest first, from before the position `before`."""
    query = job_queries.WITH_SUBJECTS.where(Job.status == JobStatus.FAILED).order_by(Job.position.desc())
    for column, wanted in ((Job.kind, kind), (Job.error_code, code)):
        if wanted is not None:
            query = query.where(column == wanted)
    if before is not None:
        query = query.where(Job.position < before)
    return list(session.scalars(query.limit(limit)))


def every(services: Services, kind: JobKind | None, code: str | None) -> Iterator[Job]:
    """All with this cause, newest first, read in pages, each in a transaction of its own."""
    before = None
    while True:
        with services.sessions() as session:
            rows = page(session, ROWS_AT_ONCE, before, kind, code)
        yield from rows
        if len(rows) < ROWS_AT_ONCE:
            return
        before = rows[-1].position


def run_again(
    services: Services, jobs: Iterable[Job], record: Callable[[Session, uuid.UUID], None]
) -> Iterator[Job]:
    """Queue each again, in a transaction of its own that `record` adds to, and give it.

    Left out are those that somebody else was faster with, and those that nothing was taken over for.
    """
    for job in jobs:
        if job.error_code == NOT_TAKEN_OVER:
            continue  # there is nothing to analyse
        try:
            with services.sessions.begin() as session:
                queued = job_control.retry(session, job.id)
                record(session, job.id)
        except ConflictError:
            continue
        yield queued


class WakeUps:
    """Gathers jobs that were queued, and wakes workers for them at the end: also where not all were."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._told: dict[tuple[JobKind, Lane], list[Hint]] = defaultdict(list)

    def add(self, job: Job) -> None:
        self._told[job.kind, job.lane] += hints([job])

    def send(self) -> int:
        """Returns for how many jobs."""
        for (kind, lane), waiting in self._told.items():
            self._queue.wake(kind, lane, waiting)
        return sum(map(len, self._told.values()))
