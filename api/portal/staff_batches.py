"""Batches for the staff: how far each is, what failed in it, and what admins do about that."""

import uuid
from contextlib import suppress
from typing import Any

from flask import Response, request
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as WerkzeugResponse

from api import batch_acts, job_acts
from api.acts import note
from api.auth import for_staff
from api.portal.batch_words import BatchView, batch_view, failed_scan
from api.portal.lists import position, split
from api.portal.pages import go_to, page_blueprint, show
from api.portal.staff_scan_words import staff_line
from api.schemas.fields import read_uuid
from api.wiring import services
from shared import batches
from shared.errors import ConflictError, NotFoundError
from shared.models import JobStatus

BATCHES_ON_PAGE = 25
SCANS_ON_PAGE = 50
MOST_FAILED = 50  # named one by one; all of them can be repeated

blueprint = page_blueprint("staff_batch_pages")


@blueprint.get("/batches")
@for_staff
def list_batches() -> Response:
    """Batches, newest first, a page of them, each with how far it is."""
    before = _before()
    with services().sessions() as session:
        found = batches.page(session, BATCHES_ON_PAGE + 1, before)
        shown = found[:BATCHES_ON_PAGE]
        progress = batches.progress_of(session, [batch.id for batch in shown])
    return show(
        "batches.html",
        batches=[batch_view(batch, progress[batch.id]) for batch in shown],
        older=shown[-1].id if len(found) > BATCHES_ON_PAGE else None,
        is_first=before is None,
    )


@blueprint.get("/batches/<uuid:batch_id>")
@for_staff
def show_batch(batch_id: uuid.UUID) -> Response:
    """One batch: how far it is, what failed, and its scans, a page of them."""
    with services().sessions.begin() as session:
        facts = _progress(session, batch_id)
        rows = batches.scans_page(session, batch_id, SCANS_ON_PAGE + 1, position())
        shown, older = split(rows, SCANS_ON_PAGE, lambda row: row[1].position)
        note(session, "scan.listed", f"batch:{batch_id}", rows=len(shown))
        lines = [staff_line(*row) for row in shown]
    return show("batch.html", **facts, scans=lines, older=older, is_first=position() is None)


@blueprint.get("/batches/<uuid:batch_id>/progress")
@for_staff
def show_progress(batch_id: uuid.UUID) -> Response:
    """What of the page renews itself while the batch runs: no patients are in it, so it leaves no trace."""
    with services().sessions() as session:
        facts = _progress(session, batch_id)
    return show("batch_progress.html", **facts)


@blueprint.post("/batches/<uuid:batch_id>/retry")
def retry_failed(batch_id: uuid.UUID) -> WerkzeugResponse:
    """Have all failed analyses run again."""
    batch_acts.retry_failed(_known(batch_id))
    return go_to("staff_batch_pages.show_batch", batch_id=batch_id)


@blueprint.post("/batches/<uuid:batch_id>/retry/<uuid:job_id>")
def retry_one(batch_id: uuid.UUID, job_id: uuid.UUID) -> WerkzeugResponse:
    """Have one failed analysis run again; a second click changes nothing."""
    with suppress(ConflictError):
        job_acts.retry(job_id)
    return go_to("staff_batch_pages.show_batch", batch_id=batch_id)


@blueprint.get("/batches/<uuid:batch_id>/cancel")
def confirm_cancel(batch_id: uuid.UUID) -> Response:
    """What cancelling means, and the button that does it."""
    with services().sessions() as session:
        return show("cancel_batch.html", **_progress(session, batch_id))


@blueprint.post("/batches/<uuid:batch_id>/cancel")
def cancel(batch_id: uuid.UUID) -> WerkzeugResponse:
    """Cancel what is left."""
    batch_acts.cancel(_known(batch_id))
    return go_to("staff_batch_pages.show_batch", batch_id=batch_id)


def _progress(session: Session, batch_id: uuid.UUID) -> dict[str, Any]:
    view: BatchView = batch_view(batches.get(session, batch_id), batches.progress(session, batch_id))
    failed = batches.scans_page(session, batch_id, MOST_FAILED, None, JobStatus.FAILED) if view.failed else []
    return {"batch": view, "failed": [failed_scan(*row) for row in failed]}


def _known(batch_id: uuid.UUID) -> uuid.UUID:
    with services().sessions() as session:
        return batches.get(session, batch_id).id


def _before() -> uuid.UUID | None:
    """After which batch this page of the list begins. Raises `NotFoundError`."""
    text = request.args.get("before")
    if not text:
        return None
    found = read_uuid(text)
    if found is None:
        raise NotFoundError("There is no such page.")
    return found
