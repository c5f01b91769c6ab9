"""Signing in and out, and one's own password."""

from typing import Any

from flask import Response, jsonify
from flask_openapi3 import APIBlueprint, Tag

from api import account_acts
from api.auth import (
    caller,
    clear_login_cookie,
    for_signed_in,
    public,
    set_login_cookie,
)
from api.documentation import ERRORS, NO_LOGIN
from api.schemas.accounts import (
    AccountAnswer,
    AdminLoginAnswer,
    EndedLoginsAnswer,
    LoginBody,
    LogoutBody,
    PasswordBody,
    PatientLoginAnswer,
)
from api.view_result import ViewResult
from api.wiring import services
from shared import logins
from shared.logins import SignedIn
from shared.models import Admin, Patient

blueprint = APIBlueprint("accounts", __name__, abp_tags=[Tag(name="Accounts")], abp_responses=ERRORS)


@blueprint.post("/api/admin/login", responses={200: AdminLoginAnswer}, security=NO_LOGIN)
@public
def log_in_admin(body: LoginBody) -> ViewResult:
    """Sign in as admin or reader; the token comes as a cookie and in the body."""
    signed_in = account_acts.sign_in(Admin, body)
    admin = signed_in.account
    return _welcome(signed_in, username=admin.username, email=admin.email)


@blueprint.post("/api/patient/login", responses={200: PatientLoginAnswer}, security=NO_LOGIN)
@public
def log_in_patient(body: LoginBody) -> ViewResult:
    """Sign in as patient; the token comes as a cookie and in the body."""
    signed_in = account_acts.sign_in(Patient, body)
    patient = signed_in.account
    assert isinstance(patient, Patient)  # noqa: S101 - for the type checker
    return _welcome(signed_in, name=patient.name, patient_id=patient.patient_id, email=patient.email)


@blueprint.get("/api/account", responses={200: AccountAnswer})
@for_signed_in
def get_account() -> ViewResult:
    """Who is signed in."""
    with services().sessions() as session:
        account = logins.account_of(session, caller())
    data = {
        "role": caller().role,
        "id": account.id,
        "username": account.username,
        "has_generated_password": account.has_generated_password,
    }
    return jsonify(success=True, data=data)


@blueprint.post("/api/account/password", responses={200: EndedLoginsAnswer})
@for_signed_in
def change_password(body: PasswordBody) -> ViewResult:
    """Change one's own password. All other logins of the account end."""
    ended = account_acts.change_password(body.current_password, body.new_password)
    return jsonify(success=True, data={"ended_logins": ended})


@blueprint.post("/api/account/logout", responses={200: EndedLoginsAnswer})
@for_signed_in
def log_out(body: LogoutBody) -> ViewResult:
    """End this login, or all of the account."""
    ended = account_acts.sign_out(body.everywhere)
    response = jsonify(success=True, data={"ended_logins": ended})
    clear_login_cookie(response)
    return response


def _welcome(signed_in: SignedIn, **facts: Any) -> Response:
    account = signed_in.account
    response = jsonify(
        success=True,
        token=signed_in.token,
        role=signed_in.caller.role,
        has_generated_password=account.has_generated_password,
        data={"id": account.id, **facts},
    )
    set_login_cookie(response, signed_in.token)
    return response
