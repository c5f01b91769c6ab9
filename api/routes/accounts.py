"""Signing in."""

from flask import Blueprint, jsonify
from flask.typing import ResponseReturnValue

from api.auth import public, set_login_cookie
from api.bodies import LoginBody, read_body
from api.wiring import services
from shared import accounts
from shared.errors import ValidationError

blueprint = Blueprint("accounts", __name__)


@blueprint.post("/api/admin/login")
@public
def log_in_admin() -> ResponseReturnValue:
    """Open a login; the token comes as a cookie and in the body."""
    try:
        body = read_body(LoginBody)
    except ValidationError as error:
        raise ValidationError("Username and password are required", error.field) from None
    built = services()
    with built.sessions.begin() as session:
        hours = built.settings.session_hours
        admin, token = accounts.log_in_admin(session, body.username, body.password, hours)
        data = {"id": admin.id, "username": admin.username, "email": admin.email}
    response = jsonify(success=True, token=token, data=data)
    set_login_cookie(response, token)
    return response
