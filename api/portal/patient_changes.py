"""Making a patient, changing what is known, and giving a new password: pages for admins."""

from flask import Response, request
from pydantic import ValidationError as PydanticError
from werkzeug.wrappers import Response as WerkzeugResponse

from api import patient_acts
from api.acts import note
from api.portal import form_key, patient_form
from api.portal.language import gettext, mark
from api.portal.pages import go_to, page_blueprint, show
from api.wiring import services
from shared import accounts, mails
from shared.enrolment import Enrolled
from shared.errors import ChangedMeanwhileError, ConflictError, RepeatedRequestError
from shared.models import Patient

SENT_BEFORE = mark("This form was sent before with other facts. Check them and send it again.")

blueprint = page_blueprint("patient_change_pages")


@blueprint.get("/patients/new")
def new_patient() -> Response:
    """The empty form."""
    return _new_page({})


@blueprint.post("/patients/new")
def create_patient() -> WerkzeugResponse:
    """Make the patient and show the password, this once; or say at each field what is wrong."""
    try:
        body = patient_form.read()
    except PydanticError as error:
        return _new_page(patient_form.typed(), 400, patient_form.wrong_fields(error))
    once = form_key.sent(body.model_dump())
    try:
        earlier = once.earlier()
    except ConflictError:  # the same form, filled in anew
        return _new_page(patient_form.typed(), 409, {"form": gettext(SENT_BEFORE)})
    if earlier is not None:
        return _made_before(earlier["patient_id"])
    try:
        made = patient_acts.create(body, once)
    except ConflictError:  # perhaps with what the same form, sent twice at once, has just made
        twin = once.earlier()
        if twin is not None:
            return _made_before(twin["patient_id"])
        return _new_page(patient_form.typed(), 409, {"email": gettext(patient_form.TAKEN)})
    return _show_once(made, is_new=True)


@blueprint.get("/patients/<int:patient_id>/edit")
def edit_patient(patient_id: int) -> Response:
    """The form with what is known."""
    patient = _patient(patient_id)
    return _edit_page(patient, patient_form.known(patient), accounts.version_of(patient))


@blueprint.post("/patients/<int:patient_id>/edit")
def update_patient(patient_id: int) -> WerkzeugResponse:
    """Replace what is known, or say at each field what is wrong, or what somebody else wrote meanwhile."""
    seen = request.form.get("seen")
    try:
        patient_acts.update(patient_id, patient_form.read(), seen)
    except PydanticError as error:
        wrong = patient_form.wrong_fields(error)
        return _edit_page(_patient(patient_id), patient_form.typed(), seen, 400, wrong)
    except ChangedMeanwhileError:
        patient = _patient(patient_id)
        wrong = patient_form.changed_fields(patient)
        return _edit_page(patient, patient_form.typed(), accounts.version_of(patient), 409, wrong)
    except ConflictError:
        wrong = {"email": gettext(patient_form.TAKEN)}
        return _edit_page(_patient(patient_id), patient_form.typed(), seen, 409, wrong)
    return go_to("staff_patient_pages.show_patient", patient_id=patient_id, saved=1)


@blueprint.get("/patients/<int:patient_id>/reset-password")
def confirm_reset(patient_id: int) -> Response:
    """What a new password means for the patient, and the button that makes it."""
    with services().sessions() as session:
        is_mailing = mails.is_accepting(session, services().settings)
    patient = _patient(patient_id)
    return show("reset_password.html", patient=patient, is_mailing=is_mailing, once=form_key.new())


@blueprint.post("/patients/<int:patient_id>/reset-password")
def reset_password(patient_id: int) -> WerkzeugResponse:
    """Make a new password and show it, this once."""
    once = form_key.sent(None)
    if once.earlier() is not None:
        return _made_before(patient_id)
    try:
        made = patient_acts.reset_password(patient_id, once)
    except RepeatedRequestError:
        return _made_before(patient_id)
    return _show_once(made, is_new=False)


def _patient(patient_id: int) -> Patient:
    with services().sessions.begin() as session:
        patient = accounts.get_patient(session, patient_id)
        note(session, "patient.viewed", f"patient:{patient_id}")
    return patient


def _new_page(filled: dict[str, str], status: int = 200, wrong: dict[str, str] | None = None) -> Response:
    return _show_form("new_patient.html", status, filled, wrong, once=form_key.new())


def _edit_page(
    patient: Patient,
    filled: dict[str, str],
    seen: str | None,
    status: int = 200,
    wrong: dict[str, str] | None = None,
) -> Response:
    """`seen` is the `accounts.version_of` the facts that the form replaces."""
    return _show_form("edit_patient.html", status, filled, wrong, patient=patient, seen=seen)


def _show_form(
    template: str, status: int, filled: dict[str, str], wrong: dict[str, str] | None, **context: object
) -> Response:
    return show(template, status, filled=filled, wrong=wrong or {}, genders=patient_form.GENDERS, **context)


def _show_once(made: Enrolled, is_new: bool) -> Response:
    return show("credentials.html", made=made, is_new=is_new)


def _made_before(patient_id: int) -> WerkzeugResponse:
    return go_to("staff_patient_pages.show_patient", patient_id=patient_id, again=1)
