"""An upload request, whatever route it came by: checked, stored, registered once, and answered."""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from flask import jsonify
from sqlalchemy.orm import Session

from api.acts import note
from api.presenters import Json, report_json
from api.release import held_back
from api.repeats import RepeatableRequest
from api.upload_results import accepted_json, analysed_json, held_back_json, refused_json
from api.uploads import Outcome, Refused, Upload, discard, take_uploads
from api.view_result import ViewResult
from api.waiting import POLL_AFTER_S, preferred_wait, wait_for_end
from api.wiring import services
from shared import batches, job_queries, reports, scans
from shared.errors import (
    ConflictError,
    NotFoundError,
    QueueFullError,
    ServiceUnavailableError,
)
from shared.failpoints import failpoint
from shared.logs import get_logger
from shared.models import UNFINISHED, Job, JobKind, JobStatus
from shared.queue import hints
from shared.scans import Registered, StoredOriginal

MOST_NAMED = 20  # jobs of one upload in its log line; all carry its batch_id

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Order:
    """What a request asks for. `batch_id`: add to this batch, instead of making one."""

    request: RepeatableRequest
    uploads: Sequence[Upload | Refused]
    batch_id: uuid.UUID | None = None
    report_for: int | None = None  # patients.id, where a report was asked for
    is_public: bool = False  # the sender is nobody we know
    is_single: bool = False  # the one file's fields stand beside `results` too


def accept(order: Order) -> ViewResult:
    """Take the files, register the good ones as jobs, and answer: at once, or when the jobs have ended."""
    body = take(order)
    return _finish(body, order) if body["success"] else (jsonify(body), 400)


def take(order: Order) -> Json:
    """Take the files and register the good ones as jobs; `results` says what became of each file.

    `success` is false if there was no good one: then nothing was kept. Raises `ServiceUnavailableError` and
    `ConflictError` where no file could be taken, whatever is in it.
    """
    earlier = order.request.earlier()
    if earlier is not None:
        return earlier
    refuse_if_full()
    if order.batch_id is not None:
        _refuse_if_closed(order.batch_id)
    outcomes = take_uploads(order.uploads)
    originals = [outcome for outcome in outcomes if isinstance(outcome, StoredOriginal)]
    if not originals:
        return _nothing_accepted(outcomes)
    failpoint("uploads-stored")
    try:
        registered, report, body = _register(order, outcomes, originals)
    except (ConflictError, NotFoundError) as error:
        return order.request.of_twin(error)
    failpoint("rows-committed")
    log.info(
        "scans accepted",
        batch_id=str(registered.batch_id),
        job_ids=[str(job.id) for job in registered.jobs[:MOST_NAMED]],
        scan_ids=[original.scan_id for original in originals[:MOST_NAMED]],
        scans=len(originals),
        refused=len(outcomes) - len(originals),
    )
    queue = services().queue
    queue.wake(JobKind.SCAN, registered.lane, hints(registered.jobs))
    if report is not None:
        queue.wake(JobKind.REPORT, report.lane, hints([report]))
    return body


def refuse_if_full() -> None:
    """Raises `QueueFullError` while more work waits than the settings allow."""
    built = services()
    with built.sessions() as session:
        if job_queries.is_queue_full(session, built.settings.max_queued_jobs):
            raise QueueFullError("Too much work waits already. Nothing was kept; send it again in a minute.")


def _refuse_if_closed(batch_id: uuid.UUID) -> None:
    """Before anything is stored; what is certain comes with the lock."""
    with services().sessions() as session:
        batches.refuse_if_closed(batches.get(session, batch_id))


def _register(
    order: Order, outcomes: Sequence[Outcome], originals: Sequence[StoredOriginal]
) -> tuple[Registered, Job | None, Json]:
    """Everything in one transaction: rows, the remembered answer, the audit trail.

    When it ends before its commit, no row will ever name the originals: they are discarded.
    """
    is_rolled_back = True
    try:
        with services().sessions.begin() as session:
            made = _add_rows(session, order, outcomes, originals)
            is_rolled_back = False  # from here on the commit may count, even if its answer never comes
        return made
    finally:
        if is_rolled_back:
            discard(originals)


def _add_rows(
    session: Session, order: Order, outcomes: Sequence[Outcome], originals: Sequence[StoredOriginal]
) -> tuple[Registered, Job | None, Json]:
    batch = batches.lock_open(session, order.batch_id) if order.batch_id else None
    registered = scans.register(session, originals, batch, order.is_public)
    report = None
    if order.report_for is not None:
        names = [original.scan_id for original in originals]
        report = reports.request_report(session, order.report_for, names)
    body = _accepted_body(order, outcomes, registered, report)
    order.request.remember(session, body)
    patients = sorted({original.patient_id for original in originals})
    subject = f"patient:{patients[0]}" if len(patients) == 1 else f"batch:{registered.batch_id}"
    note(session, "scan.uploaded", subject, batch=str(registered.batch_id), scans=len(originals))
    return registered, report, body


def _accepted_body(
    order: Order, outcomes: Sequence[Outcome], registered: Registered, report: Job | None
) -> Json:
    jobs = iter(registered.jobs)
    results = [
        refused_json(outcome) if isinstance(outcome, Refused) else accepted_json(next(jobs), order.is_public)
        for outcome in outcomes
    ]
    body: Json = {
        "success": True,
        "batch_id": str(registered.batch_id),
        "job_ids": [str(job.id) for job in registered.jobs],
        "scan_ids": [] if order.is_public else [job.scan.scan_id for job in registered.jobs if job.scan],
        "results": results,
        "report_generated": False,
        "report_data": None,
    }
    return body if report is None else {**body, "report_job_id": str(report.id)}


def _finish(body: Json, order: Order) -> ViewResult:
    """200 in the synchronous shape if every job ends within the time that the client waits, else 202."""
    seconds = preferred_wait()
    if seconds:
        wanted = [*body["job_ids"], *filter(None, [body.get("report_job_id")])]
        rows = wait_for_end([uuid.UUID(text) for text in wanted], seconds)
        if len(rows) == len(wanted) and all(row.status not in UNFINISHED for row in rows):
            return jsonify(_flat(_ended_body(body, {str(row.id): row for row in rows}, order), order))
    first = body["job_ids"][0]
    is_alone = order.batch_id is None and len(body["job_ids"]) == 1
    location = f"/api/jobs/{first}" if is_alone or order.is_public else f"/api/batches/{body['batch_id']}"
    return jsonify(_flat(body, order)), 202, {"Location": location, "Retry-After": str(POLL_AFTER_S)}


def _ended_body(body: Json, rows: dict[str, Job], order: Order) -> Json:
    hidden = held_back(list(rows.values()))
    results = [
        _ended_json(rows[result["job_id"]], order, hidden) if "job_id" in result else result
        for result in body["results"]
    ]
    report = rows.get(str(body.get("report_job_id")))
    if report is not None and report.id in hidden:
        report = None
    is_made = report is not None and report.status == JobStatus.SUCCEEDED and report.report is not None
    return {
        **body,
        "results": results,
        "report_generated": is_made,
        "report_data": report_json(report.report) if is_made and report and report.report else None,
    }


def _ended_json(job: Job, order: Order, hidden: Collection[uuid.UUID]) -> Json:
    show = held_back_json if job.id in hidden else analysed_json
    return show(job, order.is_public)


def _flat(body: Json, order: Order) -> Json:
    return {**body, **body["results"][0]} if order.is_single else body


def _nothing_accepted(outcomes: Sequence[Outcome]) -> Json:
    refused = [outcome for outcome in outcomes if isinstance(outcome, Refused)]
    if any(outcome.code == ServiceUnavailableError.code for outcome in refused):
        raise ServiceUnavailableError(
            "The image store does not take uploads right now. Try again in a minute."
        )
    message = refused[0].error if len(refused) == 1 else "None of the files is a usable image."
    body: dict[str, Any] = {"success": False, "error": message, "code": refused[0].code, "field": "files"}
    return {**body, "results": [refused_json(outcome) for outcome in refused]}
