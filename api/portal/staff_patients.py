"""Patients for the staff: looking for one, and all about one. What changes them is in `patient_changes`."""

from typing import Annotated

from flask import Response, request
from pydantic import Field
from pydantic import ValidationError as PydanticError
from werkzeug.wrappers import Response as WerkzeugResponse

from api.acts import note
from api.auth import for_staff
from api.portal import form_key, sealed_search
from api.portal.language import gettext
from api.portal.lists import position, split
from api.portal.pages import go_to, page_blueprint, show
from api.portal.patient_form import gender_word
from api.portal.report_words import report_view
from api.portal.staff_scan_words import staff_line
from api.schemas.fields import Line, Request
from api.wiring import services
from shared import accounts, reports, scans

PATIENTS_ON_PAGE = 50
SCANS_ON_PAGE = 24
REPORTS_SHOWN = 20
LONGEST_SEARCH = 100

blueprint = page_blueprint("staff_patient_pages")


class SearchForm(Request):
    """What the staff types to find a patient."""

    search: Annotated[Line, Field(max_length=LONGEST_SEARCH)] = ""


@blueprint.get("/patients")
@for_staff
def list_patients() -> Response:
    """Patients, newest first, a page of them; after a search those that it fits."""
    return _list(sealed_search.asked())


@blueprint.post("/patients/search")
@for_staff
def search_patients() -> WerkzeugResponse:
    """Lead to the results, or at once to the patient whose display id was typed."""
    try:
        search = SearchForm.model_validate(request.form.to_dict()).search
    except PydanticError:
        return _list(None, 400, {"search": gettext("A search is one line of at most 100 characters.")})
    if not search:
        return go_to("staff_patient_pages.list_patients")
    with services().sessions() as session:
        named = accounts.find_patient(session, search)
    if named is not None:
        return go_to("staff_patient_pages.show_patient", patient_id=named.id)
    return go_to("staff_patient_pages.list_patients", found=sealed_search.seal(search))


@blueprint.get("/patients/<int:patient_id>")
@for_staff
def show_patient(patient_id: int) -> Response:
    """One patient with their scans, a page of them, and their reports."""
    with services().sessions.begin() as session:
        patient = accounts.get_patient(session, patient_id)
        number = accounts.count_scans(session, [patient_id]).get(patient_id, 0)
        rows = scans.page(session, SCANS_ON_PAGE + 1, position(), patient_id, with_maps=False)
        found = reports.page(session, REPORTS_SHOWN + 1, None, patient_id)
        note(session, "patient.viewed", f"patient:{patient_id}")
        shown, older = split(rows, SCANS_ON_PAGE, lambda row: row[0].id)
        lines = [staff_line(*row) for row in shown]
    return show(
        "patient.html",
        patient=patient,
        gender=gender_word(patient.gender),
        scans=lines,
        scan_count=number,
        older=older,
        is_first=position() is None,
        reports=[report_view(row) for row in found[:REPORTS_SHOWN]],
        has_more_reports=len(found) > REPORTS_SHOWN,
        was_sent_before="again" in request.args,
        was_saved="saved" in request.args,
        once=form_key.new(),
    )


def _list(search: str | None, status: int = 200, wrong: dict[str, str] | None = None) -> Response:
    before = position()
    with services().sessions.begin() as session:
        rows = accounts.page(session, PATIENTS_ON_PAGE + 1, before, search)
        shown, older = split(rows, PATIENTS_ON_PAGE, lambda row: row.id)
        counts = accounts.count_scans(session, [row.id for row in shown])
        note(session, "patient.listed", "patients", rows=len(shown), is_search=search is not None)
    return show(
        "patients.html",
        status,
        patients=shown,
        counts=counts,
        older=older,
        is_first=before is None,
        search=search or request.form.get("search", ""),
        is_search=search is not None,
        found=request.args.get(sealed_search.ARGUMENT) if search is not None else None,
        wrong=wrong or {},
        longest_search=LONGEST_SEARCH,
    )
