"""Uploading scans."""

import uuid
from collections.abc import Sequence

from flask import Blueprint, jsonify, request
from flask.typing import ResponseReturnValue
from werkzeug.datastructures import FileStorage

from api.auth import admin_only
from api.presenters import Json, accepted_json, analysed_json
from api.uploads import Refused, take_uploads
from api.waiting import preferred_wait, wait_for_end
from api.wiring import services
from shared import accounts, scans
from shared.errors import ServiceUnavailableError, ValidationError
from shared.models import UNFINISHED, Job, JobKind
from shared.scans import StoredOriginal

blueprint = Blueprint("scans", __name__)
POLL_AFTER_S = 1


@blueprint.post("/api/admin/scans/upload")
@admin_only
def upload_scans() -> ResponseReturnValue:
    """Take any number of slices of one patient; each good one becomes a job."""
    patient_id = _patient_id()
    files = _files("files")
    built = services()
    with built.sessions() as session:
        accounts.get_patient(session, patient_id)
    outcomes = take_uploads(files)
    originals = [outcome for outcome in outcomes if isinstance(outcome, StoredOriginal)]
    if not originals:
        return _nothing_accepted(outcomes)
    with built.sessions.begin() as session:
        registered = scans.register(session, patient_id, originals)
    job_ids = [job.id for job in registered.jobs]
    built.queue.wake(JobKind.SCAN, registered.lane, job_ids)
    seconds = preferred_wait()
    rows = wait_for_end(job_ids, seconds) if seconds else list(registered.jobs)
    return _answer(outcomes, rows, registered.batch_id)


def _patient_id() -> int:
    text = request.form.get("patient_id", "").strip()
    if not text.isascii() or not text.isdigit() or not 0 < int(text[:11]) < 2**31:
        raise ValidationError("patient_id: the number of an existing patient is required.", "patient_id")
    return int(text)


def _files(field: str) -> list[FileStorage]:
    files = [file for file in request.files.getlist(field) if file.filename]
    most = services().settings.max_files_per_upload
    if not files:
        raise ValidationError(f"{field}: send at least one PNG or JPEG image.", field)
    if len(files) > most:
        raise ValidationError(
            f"{field}: at most {most} files in one request. Send the rest in another.", field
        )
    return files


def _nothing_accepted(outcomes: Sequence[StoredOriginal | Refused]) -> ResponseReturnValue:
    refused = [outcome for outcome in outcomes if isinstance(outcome, Refused)]
    if any(outcome.code == ServiceUnavailableError.code for outcome in refused):
        raise ServiceUnavailableError(
            "The image store does not take uploads right now. Try again in a minute."
        )
    message = refused[0].error if len(refused) == 1 else "None of the files is a usable image."
    body = {"success": False, "error": message, "code": refused[0].code, "field": "files"}
    return jsonify({**body, "results": [_refused_json(outcome) for outcome in refused]}), 400


def _answer(
    outcomes: Sequence[StoredOriginal | Refused], rows: Sequence[Job], batch_id: uuid.UUID
) -> ResponseReturnValue:
    """200 in the synchronous shape if every job has ended, else 202."""
    is_done = all(row.status not in UNFINISHED for row in rows)
    shape = analysed_json if is_done else accepted_json
    accepted = iter(rows)
    results = [_refused_json(o) if isinstance(o, Refused) else shape(next(accepted)) for o in outcomes]
    body = {
        "success": True,
        "batch_id": str(batch_id),
        "job_ids": [str(row.id) for row in rows],
        "scan_ids": [row.scan.scan_id for row in rows if row.scan],
        "results": results,
        "report_generated": False,
        "report_data": None,
    }
    if is_done:
        return jsonify(body)
    headers = {"Location": f"/api/jobs/{rows[0].id}", "Retry-After": str(POLL_AFTER_S)}
    return jsonify(body), 202, headers


def _refused_json(refused: Refused) -> Json:
    return {"success": False, "filename": refused.filename, "error": refused.error, "code": refused.code}
