"""Scans for the staff: all of them with filters, each alone, and what admins do to its analysis."""

import uuid
from collections.abc import Callable
from contextlib import suppress

from flask import Response, request
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as WerkzeugResponse

from api import job_acts
from api.acts import note
from api.auth import for_staff
from api.portal import form_key
from api.portal.job_words import cause_of
from api.portal.lists import position, split
from api.portal.pages import go_to, page_blueprint, show
from api.portal.reviews import review_facts
from api.portal.scan_evidence import evidence_of
from api.portal.scan_filters import Filters, asked_filters
from api.portal.staff_scan_words import Owner, staff_line, staff_scan
from api.portal.timeline import timeline_of
from api.wiring import services
from shared import accounts, job_history, reports, scan_search, scans
from shared.errors import ConflictError
from shared.scan_search import Found, Reading

SCANS_ON_PAGE = 25
LONGEST_NUMBER = 100

blueprint = page_blueprint("staff_scan_pages")


@blueprint.get("/staff/scans")
@for_staff
def list_scans() -> WerkzeugResponse:
    """Scans that match, newest first, a page of them. A number that was typed leads to what it is of."""
    filters, number = asked_filters(), request.args.get("number", "").strip()[:LONGEST_NUMBER]
    with services().sessions.begin() as session:
        if number and (place := _place_of(session, number, filters)) is not None:
            return place
        patient = None if filters.patient is None else accounts.get_patient(session, filters.patient)
        rows = [] if number else scan_search.find(session, filters.wanted(), SCANS_ON_PAGE + 1, position())
        subject = "scans" if patient is None else f"patient:{patient.id}"
        note(session, "scan.listed", subject, rows=min(len(rows), SCANS_ON_PAGE))
        shown, older = split(rows, SCANS_ON_PAGE, lambda row: row[0].id)
        lines = [staff_line(*row) for row in shown]
    return show(
        "staff_scans.html",
        scans=lines,
        owner=None if patient is None else Owner.of(patient),
        older=older,
        is_first=position() is None,
        filters=filters.in_address(),
        outcomes=tuple(Found),
        readings=tuple(Reading),
        number=number,
        once=form_key.new(),
    )


@blueprint.get("/staff/scans/<int:scan_id>")
@for_staff
def show_scan(scan_id: int) -> Response:
    """One scan: its pictures, what the model says and why, what became of its jobs, and its reports."""
    with services().sessions.begin() as session:
        known = scans.get_scan(session, scan_id)
        [(scan, job)] = scans.page(session, 1, scan_id + 1, known.patient_id)
        older, newer = scan_search.beside(session, scan)
        timelines = [timeline_of(history) for history in job_history.of_scan(session, scan_id)]
        covering = reports.covering(session, scan_id)
        review = review_facts(session, scan)
        note(session, "scan.viewed", f"scan:{scan_id}")
        shown = staff_scan(scan, job)
    return show(
        "staff_scan.html",
        scan=shown,
        evidence=evidence_of(scan),
        timelines=timelines,
        cause=cause_of(job.error_code),
        older=older,
        newer=newer,
        reports=covering,
        review=review,
        once=form_key.new(),
    )


@blueprint.post("/staff/scans/<int:scan_id>/retry")
def retry(scan_id: int) -> WerkzeugResponse:
    """Have the failed or cancelled analysis run again."""
    return _act(scan_id, job_acts.retry)


@blueprint.post("/staff/scans/<int:scan_id>/cancel")
def cancel(scan_id: int) -> WerkzeugResponse:
    """Stop the analysis before it ends."""
    return _act(scan_id, job_acts.cancel)


def _act(scan_id: int, act: Callable[[uuid.UUID], None]) -> WerkzeugResponse:
    """A second click is refused, and one that a worker was quicker than; the page shows how it stands."""
    with services().sessions() as session:
        scans.get_scan(session, scan_id)
        job_id = job_history.of_scan(session, scan_id)[0].job.id
    with suppress(ConflictError):
        act(job_id)
    return go_to("staff_scan_pages.show_scan", scan_id=scan_id)


def _place_of(session: Session, number: str, filters: Filters) -> WerkzeugResponse | None:
    """Where a patient's or a scan's display id leads; None if it is nobody's."""
    if not number.isprintable():
        return None  # no text in Postgres has some of these
    patient = accounts.find_patient(session, number)
    if patient is not None:
        return go_to("staff_scan_pages.list_scans", **{**filters.in_address(), "patient": str(patient.id)})
    scan_id = scan_search.id_of(session, number)
    return None if scan_id is None else go_to("staff_scan_pages.show_scan", scan_id=scan_id)
