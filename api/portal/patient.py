"""What patients see: their own scans and reports. Nothing here takes a patient's number from the request."""

from flask import Response, redirect
from werkzeug.wrappers import Response as WerkzeugResponse

from api.acts import note
from api.auth import caller, for_patients, require_patient_access
from api.portal.lists import position, split
from api.portal.pages import page_blueprint, show
from api.portal.scan_words import alone, in_list
from api.release import sees_only_released
from api.wiring import services
from shared import legacy_reports, reports, scans

SCANS_ON_PAGE = 24
REPORTS_ON_PAGE = 50

blueprint = page_blueprint("patient_pages")


@blueprint.get("/scans")
@for_patients
def list_scans() -> Response:
    """The patient's scans, newest first, a page of them."""
    who = caller()
    with services().sessions.begin() as session:
        is_gated = sees_only_released()
        rows = scans.page(
            session, SCANS_ON_PAGE + 1, position(), who.id, with_maps=False, only_released=is_gated
        )
        waiting = scans.count_unreleased(session, who.id) if is_gated else 0
        note(session, "scan.listed", f"patient:{who.id}", rows=min(len(rows), SCANS_ON_PAGE))
        shown, older = split(rows, SCANS_ON_PAGE, lambda row: row[0].id)
        views = [in_list(*row) for row in shown]
    return show("scans.html", scans=views, older=older, is_first=position() is None, waiting=waiting)


@blueprint.get("/scans/<int:scan_id>")
@for_patients
def show_scan(scan_id: int) -> Response:
    """One scan with its pictures, what they mean, and the reports about it."""
    with services().sessions.begin() as session:
        is_gated = sees_only_released()
        scan = scans.get_scan(session, scan_id, is_gated)
        require_patient_access(scan.patient_id)
        [(scan, job)] = scans.page(session, 1, scan_id + 1, scan.patient_id)
        found = reports.covering(session, scan_id, is_gated)
        note(session, "scan.viewed", f"scan:{scan_id}")
        view = alone(scan, job)
    return show("scan.html", scan=view, reports=found)


@blueprint.get("/reports")
@for_patients
def list_reports() -> Response:
    """The patient's finished reports, newest first, a page of them."""
    who = caller()
    with services().sessions.begin() as session:
        is_gated = sees_only_released()
        rows = reports.page(session, REPORTS_ON_PAGE + 1, position(), who.id, is_gated)
        waiting = scans.count_unreleased(session, who.id) if is_gated else 0
        note(session, "report.listed", f"patient:{who.id}", rows=min(len(rows), REPORTS_ON_PAGE))
    shown, older = split(rows, REPORTS_ON_PAGE, lambda row: row.id)
    return show("reports.html", reports=shown, older=older, is_first=position() is None, waiting=waiting)


@blueprint.get("/reports/<report_id>/download")
@for_patients
def download_report(report_id: str) -> WerkzeugResponse:
    """Lead to the PDF, by a link that works for a few minutes."""
    with services().sessions.begin() as session:
        report = reports.find_report(session, report_id, sees_only_released())
        require_patient_access(report.patient_id)
        note(session, "report.downloaded", f"report:{report.report_id}")
    return redirect(legacy_reports.link(services(), report), 303)
