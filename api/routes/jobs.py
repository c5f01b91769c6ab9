"""What has become of a piece of work."""

import hashlib
import uuid
from collections.abc import Sequence

from flask import Blueprint, Response, current_app, jsonify, request
from flask.typing import ResponseReturnValue

from api.auth import caller
from api.bodies import JobIdsBody, read_body, read_uuid
from api.presenters import Json, job_json
from api.waiting import asked_wait, poll
from api.wiring import services
from shared import job_queries
from shared.accounts import Role
from shared.errors import NotFoundError
from shared.models import UNFINISHED, Job, JobStatus

blueprint = Blueprint("jobs", __name__, url_prefix="/api/jobs")
POLL_AFTER_S = 1


@blueprint.get("/<job_id>")
def get_job(job_id: str) -> ResponseReturnValue:
    """One job; `?wait=N` holds the answer until its status changes."""
    wanted = read_uuid(job_id)
    rows = [] if wanted is None else _visible(poll([wanted], 0, lambda _: True))
    if not rows:
        raise NotFoundError("Job not found")
    before, seconds = rows[0].status, asked_wait()
    if seconds and before in UNFINISHED:
        rows = poll([rows[0].id], seconds, lambda now: any(row.status != before for row in now))
    return _with_etag(_present(rows)[0])


@blueprint.post("/status")
def get_jobs() -> ResponseReturnValue:
    """Many jobs in one query; unknown ids are named."""
    ids = read_body(JobIdsBody).ids
    wanted = {text: read_uuid(text) for text in ids}
    with services().sessions() as session:
        found = job_queries.load(session, [job_id for job_id in wanted.values() if job_id])
    rows = _visible([found[key] for key in dict.fromkeys(wanted.values()) if key in found])
    seen = {row.id for row in rows}
    missing = [text for text, key in wanted.items() if key not in seen]
    return jsonify(success=True, data=_present(rows), not_found=missing)


def _visible(rows: Sequence[Job]) -> list[Job]:
    who = caller()
    if who.role == Role.ADMIN:
        return list(rows)
    return [row for row in rows if job_queries.patient_of(row) == who.id]


def _present(rows: Sequence[Job]) -> list[Json]:
    queued = [row for row in rows if row.status == JobStatus.QUEUED]
    ahead: dict[uuid.UUID, int] = {}
    if len(queued) == 1:  # a count per job: worth it for one, not for five hundred
        with services().sessions() as session:
            ahead = {queued[0].id: job_queries.count_ahead(session, queued[0])}
    return [job_json(row, ahead) for row in rows]


def _with_etag(body: Json) -> Response:
    response = jsonify(success=True, data=body)
    response.set_etag(hashlib.sha256(current_app.json.dumps(body).encode()).hexdigest()[:32])
    response.headers["Cache-Control"] = "private, no-cache"
    if body["status"] in UNFINISHED:
        response.headers["Retry-After"] = str(POLL_AFTER_S)
    return response.make_conditional(request)  # type: ignore[return-value]  # werkzeug's type is wider
