"""Reports for the staff: those that are there or on their way, asking for one, and looking at it."""

import io
from collections.abc import Sequence
from contextlib import suppress

from flask import Response, request, send_file
from werkzeug.wrappers import Response as WerkzeugResponse

from api import job_acts, report_acts
from api.acts import note
from api.auth import for_staff
from api.portal import form_key, policy
from api.portal.error_pages import sentence
from api.portal.job_words import cause_of
from api.portal.lists import position, split
from api.portal.pages import go_to, page_blueprint, show
from api.portal.report_words import report_view
from api.portal.staff_scan_words import Owner
from api.portal.timeline import timeline_of
from api.wiring import services
from shared import accounts, job_history, legacy_reports, report_lists, reports, scan_search
from shared.errors import ConflictError, NotFoundError, ValidationError
from shared.models import Patient

REPORTS_ON_PAGE = 25
MOST_UNFINISHED = 10  # shown above the list, and as many that failed

blueprint = page_blueprint("staff_report_pages")


@blueprint.get("/staff/reports")
@for_staff
def list_reports() -> Response:
    """Finished reports, newest first, a page of them; on the first, what is on its way and what failed."""
    before, patient_id = position(), position("patient")
    with services().sessions.begin() as session:
        patient = None if patient_id is None else accounts.get_patient(session, patient_id)
        rows = reports.page(session, REPORTS_ON_PAGE + 1, before, patient_id)
        is_whole = before is None and patient is None
        jobs = report_lists.unfinished(session, MOST_UNFINISHED) if is_whole else []
        failed = report_lists.failed(session, MOST_UNFINISHED) if is_whole else []
        subject = "reports" if patient is None else f"patient:{patient.id}"
        note(session, "report.listed", subject, rows=min(len(rows), REPORTS_ON_PAGE))
        shown, older = split(rows, REPORTS_ON_PAGE, lambda row: row.id)
    return show(
        "staff_reports.html",
        reports=[report_view(row) for row in shown],
        unfinished=[report_view(*row) for row in jobs],
        failed=[report_view(*row) for row in failed],
        owner=None if patient is None else Owner.of(patient),
        older=older,
        is_first=before is None,
    )


@blueprint.post("/staff/reports")
def request_report() -> WerkzeugResponse:
    """Ask for a report about the chosen scans, or all of a patient's, and lead to where it will be."""
    whole_of, chosen = request.form.get("whole_of", type=int), request.form.getlist("scan")
    with services().sessions() as session:
        if whole_of is not None:
            patients = [accounts.get_patient(session, whole_of)]
        else:
            patients = scan_search.owners(session, chosen)
    if len(patients) != 1:
        return _refusal(patients)
    scan_ids = sorted(set(chosen)) if whole_of is None else None
    try:
        asked = report_acts.request_report(
            patients[0].id, scan_ids, form_key.sent([patients[0].id, scan_ids])
        )
    except ValidationError as error:
        return _refusal(patients, sentence(error))
    return go_to("staff_report_pages.show_report", report_id=asked["report_id"])


@blueprint.get("/staff/reports/<report_id>")
@for_staff
def show_report(report_id: str) -> Response:
    """The report in its page, or what it waits for, or why there is none."""
    with services().sessions() as session:
        report = report_lists.find(session, report_id)
        history = job_history.of_report(session, report.id)
    policy.own_frame()
    return show(
        "staff_report.html",
        report=report_view(report, history.job if history else None),
        scans=[(scan.id, scan.scan_id) for scan in report.scans],
        timeline=None if history is None else timeline_of(history),
        cause=cause_of(history.job.error_code if history else None),
    )


@blueprint.get("/staff/reports/<report_id>/file")
@for_staff
def show_file(report_id: str) -> Response:
    """The PDF itself, for the frame of `show_report`; with `?download` as a file to keep.

    From here and not by the store's link: only what comes from our own host may be framed.
    """
    with services().sessions.begin() as session:
        report = reports.find_report(session, report_id)
        note(session, "report.downloaded", f"report:{report.report_id}")
    response = send_file(
        io.BytesIO(legacy_reports.read(services(), report)),
        mimetype="application/pdf",
        as_attachment="download" in request.args,
        download_name=f"{report.report_id}.pdf",
    )
    response.headers["Cache-Control"] = "no-store"  # `send_file` lets browsers keep it
    policy.let_us_frame(response)
    return response


@blueprint.post("/staff/reports/<report_id>/retry")
def retry(report_id: str) -> WerkzeugResponse:
    """Have the failed or cancelled job run again; after a second click the page shows how it stands."""
    with services().sessions() as session:
        history = job_history.of_report(session, report_lists.find(session, report_id).id)
    if history is None:
        raise NotFoundError("Report not found")
    with suppress(ConflictError):
        job_acts.retry(history.job.id)
    return go_to("staff_report_pages.show_report", report_id=report_id)


def _refusal(patients: Sequence[Patient], reason: str | None = None) -> Response:
    """Why there is no report: the reason, else that none or several patients' scans were chosen."""
    owners = [Owner.of(patient) for patient in patients]
    return show("staff_report_refused.html", 400, owners=owners, reason=reason)
