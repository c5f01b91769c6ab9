"""Patients and what belongs to them, for admins."""

from flask import Blueprint, jsonify
from flask.typing import ResponseReturnValue

from api.auth import admin_only
from api.bodies import NewPatientBody, read_body
from api.presenters import patient_json, report_json, scan_json
from api.wiring import services
from shared import accounts, reports, scans
from shared.accounts import NewPatient

blueprint = Blueprint("patients", __name__, url_prefix="/api/admin/patients")


@blueprint.get("")
@admin_only
def list_patients() -> ResponseReturnValue:
    """All patients, newest first."""
    with services().sessions() as session:
        return jsonify(success=True, data=[patient_json(row) for row in accounts.list_patients(session)])


@blueprint.post("")
@admin_only
def create_patient() -> ResponseReturnValue:
    """Make a patient; the generated password is in this answer and never again."""
    body = read_body(NewPatientBody)
    with services().sessions.begin() as session:
        patient, credentials = accounts.create_patient(session, NewPatient(**body.model_dump()))
        data = patient_json(patient)
    return jsonify(success=True, data={**data, "password": credentials.password, "email_sent": False}), 201


@blueprint.get("/<int:patient_id>")
@admin_only
def get_patient(patient_id: int) -> ResponseReturnValue:
    with services().sessions() as session:
        return jsonify(success=True, data=patient_json(accounts.get_patient(session, patient_id)))


@blueprint.get("/<int:patient_id>/scans")
@admin_only
def list_scans(patient_id: int) -> ResponseReturnValue:
    """The patient's scans, newest first, finished or not."""
    with services().sessions() as session:
        accounts.get_patient(session, patient_id)
        return jsonify(success=True, data=[scan_json(*row) for row in scans.scans_of(session, patient_id)])


@blueprint.get("/<int:patient_id>/reports")
@admin_only
def list_reports(patient_id: int) -> ResponseReturnValue:
    """The patient's finished reports, newest first."""
    with services().sessions() as session:
        accounts.get_patient(session, patient_id)
        return jsonify(
            success=True, data=[report_json(row) for row in reports.reports_of(session, patient_id)]
        )
