"""Jobs for the staff: what failed and why, all with filters, each with its ledger; admins act on them."""

import math
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice

from flask import Response, request
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as WerkzeugResponse

from api import job_acts
from api.acts import note
from api.auth import for_staff
from api.intake import refuse_if_full
from api.portal.job_words import cause_of, view_of
from api.portal.lists import position, split
from api.portal.pages import go_to, page_blueprint, show
from api.portal.timeline import timeline_of
from api.schemas.fields import read_uuid
from api.wiring import services, wiring
from shared import failed_jobs, job_history, job_queries
from shared.errors import ConflictError, NotFoundError
from shared.failed_jobs import Cause
from shared.migrations.taken_over_work import NOT_TAKEN_OVER
from shared.models import Job, JobKind, JobStatus

JOBS_ON_PAGE = 50
MOST_AT_ONCE = 200  # jobs that one press queues again: each is a transaction, and the page has to come back
LONGEST_CODE = 50

blueprint = page_blueprint("staff_job_pages")


@dataclass(frozen=True, slots=True)
class Filters:
    """Which jobs a list shows. What is not a status or a kind filters nothing."""

    status: JobStatus | None
    kind: JobKind | None
    code: str | None  # of failed jobs

    @classmethod
    def asked(cls) -> "Filters":
        status, kind = request.args.get("status", ""), request.args.get("kind", "")
        code = request.args.get("code", "")[:LONGEST_CODE].replace("\0", "")
        return cls(
            JobStatus(status) if status in set(JobStatus) else None,
            JobKind(kind) if kind in set(JobKind) else None,
            code or None if status == JobStatus.FAILED else None,
        )

    def find(self, session: Session, limit: int, before: int | None) -> list[Job]:
        if self.status == JobStatus.FAILED:
            return failed_jobs.page(session, limit, before, self.kind, self.code)
        return job_queries.page(session, limit, before, self.status, self.kind)

    def in_address(self) -> dict[str, str]:
        wanted = {"status": self.status, "kind": self.kind, "code": self.code}
        return {name: str(value) for name, value in wanted.items() if value}


@dataclass(frozen=True, slots=True)
class CauseView:
    """Why some jobs failed, in words."""

    of: Cause
    cause: tuple[str, str]

    @property
    def error_code(self) -> str | None:
        return self.of.code

    @property
    def is_repeatable(self) -> bool:
        return self.of.code is not None and self.of.code != NOT_TAKEN_OVER


@blueprint.get("/jobs")
@for_staff
def list_jobs() -> Response:
    """What failed, by cause; then jobs that match, newest first, a page of them."""
    filters, before = Filters.asked(), position()
    with services().sessions() as session:
        rows = filters.find(session, JOBS_ON_PAGE + 1, before)
        causes = failed_jobs.causes(session) if before is None else []
    shown, older = split(rows, JOBS_ON_PAGE, lambda job: job.position)
    return show(
        "staff_jobs.html",
        jobs=[view_of(job) for job in shown],
        causes=[CauseView(cause, cause_of(cause.code)) for cause in causes],
        filters=filters.in_address(),
        older=older,
        is_first=before is None,
        again=_count_told(),
        most_at_once=MOST_AT_ONCE,
    )


@blueprint.get("/jobs/<job_id>")
@for_staff
def show_job(job_id: str) -> Response:
    """One job: what it is about, how it stands, and its ledger."""
    return _page(_known(job_id))


@blueprint.post("/jobs/<job_id>/retry")
def retry_job(job_id: str) -> WerkzeugResponse:
    """Run a failed or cancelled job again."""
    return _act(job_acts.retry, _known(job_id))


@blueprint.post("/jobs/<job_id>/cancel")
def cancel_job(job_id: str) -> WerkzeugResponse:
    """End a job that has not ended yet, without a result."""
    return _act(job_acts.cancel, _known(job_id))


@blueprint.post("/jobs/retry-failed")
def retry_failed() -> WerkzeugResponse:
    """Run those again that failed with one cause, the newest first, so many at once."""
    kind, code = request.form.get("kind", ""), request.form.get("code", "")[:LONGEST_CODE].replace("\0", "")
    if kind not in set(JobKind) or not code:
        raise NotFoundError("There is no such cause.")
    refuse_if_full()
    built = services()
    failed = failed_jobs.every(built, JobKind(kind), code)
    wake_ups = failed_jobs.WakeUps(built.queue)
    try:
        for job in islice(failed_jobs.run_again(built, failed, _note_retry), MOST_AT_ONCE):
            wake_ups.add(job)
    finally:  # what was queued before something went wrong runs, too
        number = wake_ups.send()
    return go_to("staff_job_pages.list_jobs", again=number)


def _act(act: Callable[[uuid.UUID], None], job_id: uuid.UUID) -> WerkzeugResponse:
    try:
        act(job_id)
    except ConflictError:  # the job has gone on meanwhile, or the button was pressed twice
        return _page(job_id, 409)
    return go_to("staff_job_pages.show_job", job_id=job_id)


def _page(job_id: uuid.UUID, status: int = 200) -> Response:
    with services().sessions() as session:
        job = job_queries.load(session, [job_id]).get(job_id)
        if job is None:
            raise NotFoundError("Job not found")
        history = job_history.of_job(session, job)
        ahead = job_queries.count_ahead(session, job) if job.status == JobStatus.QUEUED else None
        wait = _wait(session, job, ahead)
    return show(
        "staff_job.html",
        status,
        job=view_of(job),
        timeline=timeline_of(history),
        ahead=ahead,
        wait=wait,
        max_attempts=services().settings.max_attempts,
        is_late=status == 409,
    )


def _wait(session: Session, job: Job, ahead: int | None) -> int | None:
    """Seconds until a waiting job's turn at the pace of the last minute; None where nothing ended in it."""
    pace = None if ahead is None else wiring().pace.seconds_per_job(session, job.kind)
    return None if ahead is None or pace is None else math.ceil((ahead + 1) * pace)


def _known(text: str) -> uuid.UUID:
    job_id = read_uuid(text)
    if job_id is None:
        raise NotFoundError("Job not found")
    return job_id


def _note_retry(session: Session, job_id: uuid.UUID) -> None:
    note(session, "job.retried", f"job:{job_id}")


def _count_told() -> int | None:
    """How many jobs the press of a button has queued again, as the address says afterwards."""
    text = request.args.get("again", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= len(str(MOST_AT_ONCE)) else None
