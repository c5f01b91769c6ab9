"""Many scans over several requests."""

import uuid
from collections.abc import Sequence

from flask import Response, jsonify, stream_with_context
from flask_openapi3 import APIBlueprint, Tag

from api import batch_acts
from api.acts import note
from api.auth import caller, for_staff
from api.csv_export import csv_rows
from api.documentation import ERRORS, binary
from api.intake import Order, accept, refuse_if_full
from api.paging import answer_list
from api.presenters import Json, batch_json
from api.repeats import RepeatableRequest
from api.schemas.batches import (
    BatchAnswer,
    BatchBody,
    BatchesAnswer,
    BatchesQuery,
    BatchScansAnswer,
    BatchUploadAnswer,
    BatchUploadForm,
    CancelledBatchAnswer,
    DryRunQuery,
    LimitsAnswer,
    NewBatchAnswer,
)
from api.schemas.fields import BatchPath, read_uuid
from api.upload_forms import uploads_in
from api.upload_results import refused_json
from api.uploads import Checked, Refused, Upload, check_uploads
from api.view_result import ViewResult
from api.wiring import services
from shared import batches
from shared.errors import RepeatedRequestError
from shared.models import Batch

BATCH_PAGE = 100

blueprint = APIBlueprint(
    "batches", __name__, url_prefix="/api/batches", abp_tags=[Tag(name="Batches")], abp_responses=ERRORS
)


@blueprint.get("", responses={200: BatchesAnswer})
@for_staff
def list_batches(query: BatchesQuery) -> ViewResult:
    """Batches that were asked for, newest first, a page at a time."""
    limit = query.limit or BATCH_PAGE
    with services().sessions() as session:
        found = batches.page(session, limit, query.cursor)
        progress = batches.progress_of(session, [batch.id for batch in found])
    rows = [(batch, progress[batch.id]) for batch in found]
    return answer_list(rows, limit, lambda row: row[0].id, lambda row: batch_json(*row))


@blueprint.get("/limits", responses={200: LimitsAnswer})
@for_staff
def get_limits() -> ViewResult:
    """How much one request may bring."""
    settings = services().settings
    limits = {
        "max_request_bytes": settings.max_content_length,
        "max_files": settings.max_files_per_upload,
        "max_image_pixels": settings.max_image_pixels,
        "max_image_side": settings.max_image_side,
    }
    return jsonify(success=True, data=limits)


@blueprint.post("", responses={201: NewBatchAnswer})
def create_batch(body: BatchBody) -> ViewResult:
    """An empty batch, to be filled by any number of requests."""
    once = RepeatableRequest.current(body.model_dump())
    earlier = once.earlier()
    if earlier is not None:
        return _made(_get(read_uuid(earlier["batch_id"])))
    refuse_if_full()
    try:
        with services().sessions.begin() as session:
            batch = batches.create(session, body.name, caller().id)
            once.remember(session, {"batch_id": str(batch.id)})
            note(session, "batch.created", f"batch:{batch.id}")
    except RepeatedRequestError as error:
        first = once.of_twin(error)
        return _made(_get(read_uuid(first["batch_id"])))
    return _made(batch)


@blueprint.post("/<batch_id>/scans", responses={200: BatchScansAnswer, 202: BatchUploadAnswer})
def add_scans(path: BatchPath, form: BatchUploadForm, query: DryRunQuery) -> ViewResult:
    """Add files of one patient, or a ZIP with a manifest that says whose each file is."""
    batch = _get(path.batch_id)
    files = [file for file in (*form.files, form.archive, form.manifest) if file is not None]
    once = RepeatableRequest.current([form.patient_id, query.dry_run], files)
    uploads = uploads_in(form)
    if query.dry_run:
        batches.refuse_if_closed(batch)
        return _dry_run(uploads)
    return accept(Order(once, uploads, batch_id=batch.id))


@blueprint.get("/<batch_id>", responses={200: BatchAnswer})
@for_staff
def get_batch(path: BatchPath) -> ViewResult:
    """How far the batch is."""
    return jsonify(success=True, data=_show(_get(path.batch_id)))


@blueprint.get("/<batch_id>/results.csv", responses={200: binary("one line for each scan", "text/csv")})
@for_staff
def get_results(path: BatchPath) -> ViewResult:
    """All results of the batch, in the order in which the scans came."""
    sessions = services().sessions
    with sessions.begin() as session:
        batch = batches.get(session, path.batch_id)
        note(session, "batch.exported", f"batch:{batch.id}")
    response = Response(stream_with_context(csv_rows(sessions, batch.id)), mimetype="text/csv")
    response.headers["Content-Disposition"] = f'attachment; filename="results-{batch.id}.csv"'
    return response


@blueprint.delete("/<batch_id>", responses={200: CancelledBatchAnswer})
def cancel_batch(path: BatchPath) -> ViewResult:
    """Cancel what is left; the batch takes no more scans. Safe to repeat."""
    batch_id = _get(path.batch_id).id
    cancelled = batch_acts.cancel(batch_id)
    return jsonify(success=True, cancelled=cancelled, data=_show(_get(batch_id)))


def _dry_run(uploads: Sequence[Upload | Refused]) -> ViewResult:
    outcomes = check_uploads(uploads)
    results: list[Json] = [
        {"success": True, "filename": outcome.filename, "patient_id": outcome.patient_id}
        if isinstance(outcome, Checked)
        else refused_json(outcome)
        for outcome in outcomes
    ]
    accepted = sum(isinstance(outcome, Checked) for outcome in outcomes)
    return jsonify(
        success=True, dry_run=True, accepted=accepted, refused=len(outcomes) - accepted, results=results
    )


def _get(batch_id: uuid.UUID | None) -> Batch:
    with services().sessions() as session:
        return batches.get(session, batch_id)


def _show(batch: Batch) -> Json:
    with services().sessions() as session:
        return batch_json(batch, batches.progress(session, batch.id))


def _made(batch: Batch) -> ViewResult:
    body = {"success": True, "batch_id": str(batch.id), "data": _show(batch)}
    return jsonify(body), 201, {"Location": f"/api/batches/{batch.id}"}
