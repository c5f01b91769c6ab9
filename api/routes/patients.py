"""Patients and what belongs to them, for the staff."""

from flask import Response, jsonify
from flask_openapi3 import APIBlueprint, Tag

from api import patient_acts
from api.acts import note
from api.auth import for_staff
from api.documentation import ERRORS
from api.paging import answer_list
from api.presenters import patient_json
from api.records import answer_patient, answer_reports_of, answer_scans_of
from api.schemas.fields import PageQuery, PatientPath
from api.schemas.patients import NewPatientAnswer, PatientAnswer, PatientBody, PatientsAnswer
from api.schemas.reports import ReportsAnswer
from api.schemas.scans import ScansAnswer
from api.view_result import ViewResult
from api.wiring import services
from shared import accounts
from shared.enrolment import Enrolled

blueprint = APIBlueprint(
    "patients",
    __name__,
    url_prefix="/api/admin/patients",
    abp_tags=[Tag(name="Patients")],
    abp_responses=ERRORS,
)


@blueprint.get("", responses={200: PatientsAnswer})
@for_staff
def list_patients(query: PageQuery) -> ViewResult:
    """All patients, newest first."""
    with services().sessions.begin() as session:
        rows = accounts.page(session, query.limit, query.cursor)
        note(session, "patient.listed", "patients", rows=len(rows))
    return answer_list(rows, query.limit, lambda row: row.id, patient_json)


@blueprint.post("", responses={201: NewPatientAnswer})
def create_patient(body: PatientBody) -> ViewResult:
    """Make a patient; the generated password is in this answer and never again."""
    return _show_once(patient_acts.create(body)), 201


@blueprint.get("/<int:patient_id>", responses={200: PatientAnswer})
@for_staff
def get_patient(path: PatientPath) -> ViewResult:
    """One patient."""
    return answer_patient(path.patient_id)


@blueprint.put("/<int:patient_id>", responses={200: PatientAnswer})
def update_patient(path: PatientPath, body: PatientBody) -> ViewResult:
    """Replace what is known about a patient."""
    return jsonify(success=True, data=patient_json(patient_acts.update(path.patient_id, body)))


@blueprint.post("/<int:patient_id>/reset-password", responses={200: NewPatientAnswer})
def reset_password(path: PatientPath) -> ViewResult:
    """Give the patient a new generated password, in this answer and never again; all their logins end."""
    return _show_once(patient_acts.reset_password(path.patient_id))


@blueprint.get("/<int:patient_id>/scans", responses={200: ScansAnswer})
@for_staff
def list_scans(path: PatientPath, query: PageQuery) -> ViewResult:
    """The patient's scans, newest first, finished or not."""
    return answer_scans_of(path.patient_id, query)


@blueprint.get("/<int:patient_id>/reports", responses={200: ReportsAnswer})
@for_staff
def list_reports(path: PatientPath, query: PageQuery) -> ViewResult:
    """The patient's finished reports, newest first."""
    return answer_reports_of(path.patient_id, query)


def _show_once(made: Enrolled) -> Response:
    password = {"password": made.credentials.password, "email_sent": made.is_mail_accepted}
    return jsonify(success=True, data={**patient_json(made.patient), **password})
