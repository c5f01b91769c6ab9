"""Uploading scans: of one patient, or a ZIP with those of many.

Works without scripts. With them, `static/upload.js` sends the same files to the JSON routes, some at a time.
"""

from flask import Response, request
from pydantic import ValidationError as PydanticError
from werkzeug.wrappers import Response as WerkzeugResponse

from api.acts import note
from api.intake import Order, take
from api.portal import form_key, refusals
from api.portal.language import gettext, mark
from api.portal.lists import position
from api.portal.pages import go_to, page_blueprint, show
from api.portal.scan_words import Outcome
from api.portal.staff_patients import LONGEST_SEARCH, SearchForm
from api.presenters import Json
from api.schemas.batches import BatchUploadForm
from api.upload_forms import uploads_in
from api.wiring import services
from shared import accounts
from shared.errors import ConflictError, NotFoundError, ServiceUnavailableError, ValidationError
from shared.models import Patient
from shared.scans import INTERACTIVE_LIMIT

MOST_CANDIDATES = 20
NOBODY = mark("No patient fits. Check the spelling, or make the patient first.")
NO_FILES = mark("Choose at least one picture.")
NO_ARCHIVE = mark("Choose a ZIP file.")

blueprint = page_blueprint("upload_pages")


@blueprint.get("/upload")
def upload_form() -> Response:
    """The form for the patient in `?patient=`; without one, whose scans they are is asked first."""
    number = position("patient")
    return _choice({}) if number is None else _form(_patient(number))


@blueprint.post("/upload/patient")
def choose_patient() -> WerkzeugResponse:
    """Lead to the form for the patient that was named, or show those that may be meant."""
    try:
        search = SearchForm.model_validate(request.form.to_dict()).search
    except PydanticError:
        search = ""
    if not search:
        return _choice({"search": gettext("Please fill in this field.")}, 400)
    with services().sessions.begin() as session:
        named = accounts.find_patient(session, search)
        fitting = [named] if named else accounts.page(session, MOST_CANDIDATES + 1, None, search)
        note(session, "patient.listed", "patients", rows=len(fitting), is_search=True)
    if len(fitting) == 1:
        return go_to("upload_pages.upload_form", patient=fitting[0].id)
    if not fitting:
        return _choice({"search": gettext(NOBODY)}, 404)
    return _choice({}, candidates=fitting)


@blueprint.post("/upload")
def send() -> Response:
    """Take the files as the JSON route does, and say of each what became of it."""
    sent = _sent()
    patient = None if sent.patient_id is None else _patient(sent.patient_id)
    files = [file for file in (*sent.files, sent.archive, sent.manifest) if file]
    if not files:
        return _refused(
            patient, {"files": gettext(NO_FILES)} if patient else {"archive": gettext(NO_ARCHIVE)}
        )
    try:
        body = take(Order(form_key.sent([sent.patient_id], files), uploads_in(sent)))
    except ValidationError as error:
        return _refused(patient, {error.field or "files": refusals.translated(str(error))})
    except ConflictError:  # the same form with other files
        return _refused(
            patient, {"files": gettext("This page was used before. Choose the files again.")}, 409
        )
    except ServiceUnavailableError as error:
        answer = _refused(patient, {"files": refusals.translated(str(error))}, 503)
        answer.headers["Retry-After"] = "60"
        return answer
    return _fates(patient, body)


def _sent() -> BatchUploadForm:
    fields = {
        "patient_id": request.form.get("patient_id"),
        "files": request.files.getlist("files"),
        "archive": request.files.get("archive"),
        "manifest": request.files.get("manifest"),
    }
    try:
        return BatchUploadForm.model_validate(fields)
    except PydanticError:
        raise NotFoundError("Patient not found") from None


def _fates(patient: Patient | None, body: Json) -> Response:
    """What became of each file."""
    results = [
        {**result, "reason": refusals.translated(result["error"]) if "error" in result else None}
        for result in body["results"]
    ]
    return show(
        "uploaded.html",
        200 if body["success"] else 400,
        patient=patient,
        results=results,
        accepted=sum(result["success"] for result in results),
        batch_id=body.get("batch_id"),
    )


def _patient(number: int) -> Patient:
    with services().sessions.begin() as session:
        patient = accounts.get_patient(session, number)
        note(session, "patient.viewed", f"patient:{number}")
    return patient


def _refused(patient: Patient | None, wrong: dict[str, str], status: int = 400) -> Response:
    return _choice(wrong, status) if patient is None else _form(patient, wrong, status)


def _form(patient: Patient, wrong: dict[str, str] | None = None, status: int = 200) -> Response:
    return show("upload.html", status, patient=patient, wrong=wrong or {}, **_for_scripts())


def _choice(wrong: dict[str, str], status: int = 200, candidates: list[Patient] | None = None) -> Response:
    shown = (candidates or [])[:MOST_CANDIDATES]
    return show(
        "upload_whose.html",
        status,
        wrong=wrong,
        candidates=shown,
        has_more=candidates is not None and len(candidates) > MOST_CANDIDATES,
        search=request.form.get("search", "")[:LONGEST_SEARCH],
        **_for_scripts(),
    )


def _for_scripts() -> dict[str, object]:
    return {
        "once": form_key.new(),
        "few": INTERACTIVE_LIMIT,
        "most_files": services().settings.max_files_per_upload,
        "refusals": list(refusals.for_scripts()),
        "outcomes": tuple(Outcome),
    }
