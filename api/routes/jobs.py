"""What has become of a piece of work, and what people may do to it."""

import uuid

from flask import Response, current_app, jsonify, request
from flask_openapi3 import APIBlueprint, Tag

from api.acts import note
from api.auth import caller_or_none, for_signed_in, for_staff, login_optional, may_see
from api.documentation import ERRORS
from api.intake import refuse_if_full
from api.job_answer import answer_with
from api.paging import answer_list
from api.presenters import Json, job_json, public_job_json
from api.release import held_back, without_result
from api.repeats import RepeatableRequest
from api.schemas.fields import MAX_PAGE, JobPath, WaitQuery, read_uuid
from api.schemas.jobs import (
    JobAnswer,
    JobIdsBody,
    JobsAnswer,
    JobsQuery,
    JobsStatusAnswer,
    StatusWaitQuery,
)
from api.view_result import ViewResult
from api.waiting import POLL_AFTER_S, asked_wait, poll, wait_for_news
from api.wiring import services, wiring
from shared import job_control, job_queries, polled_jobs
from shared.errors import AuthenticationError, ConflictError, NotFoundError
from shared.models import UNFINISHED, Job, JobKind, JobStatus
from shared.polled_jobs import PolledJob
from shared.queue import hints

blueprint = APIBlueprint(
    "jobs", __name__, url_prefix="/api/jobs", abp_tags=[Tag(name="Jobs")], abp_responses=ERRORS
)


@blueprint.get("", responses={200: JobsAnswer})
@for_staff
def list_jobs(query: JobsQuery) -> ViewResult:
    """Jobs that match, newest first, a page at a time: nobody reads the jobs of a year at once."""
    limit = query.limit or MAX_PAGE
    batch_id = read_uuid(query.batch_id)
    is_impossible = query.batch_id is not None and batch_id is None
    with services().sessions() as session:
        rows = (
            []
            if is_impossible
            else job_queries.page(
                session,
                limit,
                query.cursor,
                JobStatus(query.status) if query.status else None,
                JobKind(query.kind) if query.kind else None,
                query.patient_id,
                batch_id,
            )
        )
    return answer_list(rows, limit, lambda row: row.position, job_json)


@blueprint.get("/<job_id>", responses={200: JobAnswer, 304: None})
@login_optional
def get_job(path: JobPath, query: WaitQuery) -> ViewResult:
    """One job; `?wait=N` holds the answer until its status changes."""
    who = caller_or_none()
    rows = [] if path.job_id is None else poll([path.job_id], 0, lambda _: True)
    job = next((row for row in rows if row.is_public or _is_visible(row)), None)
    if job is None:
        if who is None:
            raise AuthenticationError("Sign in first.")
        raise NotFoundError("Job not found")
    before, seconds = job.status, asked_wait(query.wait)
    if seconds and before in UNFINISHED:
        rows = poll([job.id], seconds, lambda now: any(row.status != before for row in now))
        job = rows[0] if rows else job
    body = _present_one(job)
    return _with_etag(without_result(body) if held_back([job]) else body)


@blueprint.delete("/<job_id>", responses={200: JobAnswer})
def cancel_job(path: JobPath) -> ViewResult:
    """Cancel: a queued job never runs, a running one is not published."""
    job_id = _known(path.job_id)
    with services().sessions.begin() as session:
        job_control.cancel(session, job_id)
        note(session, "job.cancelled", f"job:{job_id}")
    return jsonify(success=True, data=job_json(_load(job_id)))


@blueprint.post("/<job_id>/retry", responses={202: JobAnswer})
def retry_job(path: JobPath) -> ViewResult:
    """Run a failed or cancelled job again: same scan, history kept."""
    job_id = _known(path.job_id)
    once = RepeatableRequest.current(None)
    if once.earlier() is not None:
        return _retried(job_id)
    refuse_if_full()
    try:
        with services().sessions.begin() as session:
            job = job_control.retry(session, job_id)
            once.remember(session, {"job_id": str(job_id)})
            note(session, "job.retried", f"job:{job_id}")
    except ConflictError as error:  # perhaps a twin of this request has just had the job run again
        once.of_twin(error)
        return _retried(job_id)
    services().queue.wake(job.kind, job.lane, hints([job]))
    return _retried(job_id)


@blueprint.post("/status", responses={200: JobsStatusAnswer})
@for_signed_in
def get_jobs(body: JobIdsBody, query: StatusWaitQuery) -> ViewResult:
    """Many jobs in one query; unknown ids are named.

    `?wait=N` holds the answer until the status of one of them changes; if one has ended, it comes at once.
    """
    wanted = {text: read_uuid(text) for text in body.ids}
    rows = _visible([key for key in dict.fromkeys(wanted.values()) if key])
    seconds = asked_wait(query.wait)
    if seconds and all(row.status in UNFINISHED for row in rows):
        wait_for_news([row.id for row in rows], seconds)
        rows = _visible([row.id for row in rows])
    seen = {row.id for row in rows}
    missing = [text for text, key in wanted.items() if key not in seen]
    hidden = held_back(rows)
    bodies = [without_result(job_json(row)) if row.id in hidden else job_json(row) for row in rows]
    return jsonify(success=True, data=bodies, not_found=missing)


def _retried(job_id: uuid.UUID) -> ViewResult:
    headers = {"Location": f"/api/jobs/{job_id}", "Retry-After": str(POLL_AFTER_S)}
    return jsonify(success=True, data=job_json(_load(job_id))), 202, headers


def _known(job_id: uuid.UUID | None) -> uuid.UUID:
    if job_id is None:
        raise NotFoundError("Job not found")
    return job_id


def _load(job_id: uuid.UUID) -> Job:
    with services().sessions() as session:
        return job_queries.load(session, [job_id])[job_id]


def _visible(job_ids: list[uuid.UUID]) -> list[PolledJob]:
    """Those of the jobs that the caller may see, in this order."""
    with services().sessions() as session:
        found = polled_jobs.read(session, job_ids)
    return [found[job_id] for job_id in job_ids if job_id in found and _is_visible(found[job_id])]


def _is_visible(job: Job | PolledJob) -> bool:
    who = caller_or_none()
    return who is not None and may_see(who, job)


def _present_one(job: Job) -> Json:
    """With its place in the queue: a count that is worth it for one job, not for five hundred."""
    present = job_json if _is_visible(job) else public_job_json
    if job.status != JobStatus.QUEUED:
        return present(job)
    with services().sessions() as session:
        ahead = job_queries.count_ahead(session, job)
        pace = wiring().pace.seconds_per_job(session, job.kind)
    return present(job, ahead, pace)


def _with_etag(job: Json) -> Response:
    answer = answer_with(current_app, job)
    response = Response(answer.body, headers=answer.headers)
    return response.make_conditional(request)  # type: ignore[return-value]  # werkzeug's type is wider
