"""Signing in and out, one's own password, and the language of the pages."""

from flask import Response, request, url_for
from pydantic import ValidationError as PydanticError
from werkzeug.wrappers import Response as WerkzeugResponse

from api import account_acts
from api.auth import (
    clear_login_cookie,
    for_signed_in,
    public,
    refuse_foreign_pages,
    set_login_cookie,
)
from api.portal import language
from api.portal.error_pages import sentence, waiting_time
from api.portal.language import gettext
from api.portal.pages import PREFIX, START_OF, account, go_to, page_blueprint, show
from api.schemas.accounts import LoginBody, PasswordBody
from shared.errors import AuthenticationError, TooManyRequestsError, ValidationError
from shared.logins import MIN_PASSWORD_LENGTH, AccountTable
from shared.models import Admin, Patient

YEAR_S = 365 * 24 * 3600
TABLES: dict[str, AccountTable] = {"patient": Patient, "staff": Admin}

blueprint = page_blueprint("account_pages")


@blueprint.get("/sign-in")
@public
def sign_in() -> Response:
    """The form, for everybody."""
    return _sign_in_page()


@blueprint.post("/sign-in")
@public
def send_sign_in() -> WerkzeugResponse:
    """Open a login, or say under the form why not."""
    refuse_foreign_pages()
    table = TABLES.get(request.form.get("as", ""), Patient)
    try:
        body = LoginBody.model_validate(request.form.to_dict())
        signed_in = account_acts.sign_in(table, body)
    except PydanticError:
        return _sign_in_page(400, _missing("username", "password"))
    except AuthenticationError:
        text = gettext("User name and password do not belong together. Check both, and who you are.")
        return _sign_in_page(401, {"form": text})
    except TooManyRequestsError as error:
        wait = waiting_time(error.retry_after)
        text = gettext("Too many failed attempts. You can try again in %(wait)s.", wait=wait)
        refusal = _sign_in_page(429, {"form": text})
        refusal.headers["Retry-After"] = str(error.retry_after)
        return refusal
    response = go_to(START_OF[signed_in.caller.role])
    if (address := _own_address(request.form.get("next"))) is not None:
        response.headers["Location"] = address
    set_login_cookie(response, signed_in.token)
    return response


@blueprint.get("/password")
@for_signed_in
def password() -> Response:
    """The form; who has a generated password sees nothing else before."""
    return _password_page()


@blueprint.post("/password")
@for_signed_in
def change_password() -> WerkzeugResponse:
    """Take the new password, or say at its field why not."""
    try:
        body = PasswordBody.model_validate(request.form.to_dict())
        _check_repeated(body.new_password)
        account_acts.change_password(body.current_password, body.new_password)
    except PydanticError:
        return _password_page(400, _missing("current_password", "new_password"))
    except ValidationError as error:
        return _password_page(400, {error.field or "form": sentence(error)})
    return go_to("account_pages.password_changed")


@blueprint.get("/password/changed")
@for_signed_in
def password_changed() -> Response:
    return show("password_changed.html")


@blueprint.post("/logout")
@for_signed_in
def log_out() -> WerkzeugResponse:
    """End this login."""
    account_acts.sign_out(everywhere=False)
    response = go_to("account_pages.sign_in", bye=1)
    clear_login_cookie(response)
    return response


@blueprint.post("/language")
@public
def choose_language() -> WerkzeugResponse:
    """Keep the language in a cookie, and show the same page again."""
    refuse_foreign_pages()
    response = go_to("start.home")
    if (address := _own_address(request.form.get("next"))) is not None:
        response.headers["Location"] = address
    wanted = request.form.get("language")
    if wanted in language.LANGUAGES:
        response.set_cookie(
            language.COOKIE,
            wanted,
            max_age=YEAR_S,
            httponly=True,
            secure=request.is_secure,
            samesite="Lax",
            path=PREFIX,
        )
    return response


def _sign_in_page(status: int = 200, wrong: dict[str, str] | None = None) -> Response:
    form = request.form
    return show(
        "sign_in.html",
        status,
        wrong=wrong or {},
        username=form.get("username", ""),
        who=form.get("as", request.args.get("as", "patient")),
        next=_own_address(form.get("next", request.args.get("next"))),
        has_left="bye" in request.args and request.method == "GET",
    )


def _password_page(status: int = 200, wrong: dict[str, str] | None = None) -> Response:
    known = account()
    return show(
        "password.html",
        status,
        wrong=wrong or {},
        is_first=known is not None and known.has_generated_password,
        shortest=MIN_PASSWORD_LENGTH,
    )


def _check_repeated(new: str) -> None:
    if new != request.form.get("repeated_password"):
        raise ValidationError(gettext("The two new passwords differ."), "repeated_password")


def _missing(*fields: str) -> dict[str, str]:
    """What to say of fields that are empty, or hold what no text may."""
    empty = [name for name in fields if not request.form.get(name, "").strip()]
    return {name: gettext("Please fill in this field.") for name in empty or fields[:1]}


def _own_address(wanted: str | None) -> str | None:
    """The address if it is a page of ours, so that no link can lead from signing in to another host."""
    is_own = wanted is not None and wanted.startswith(f"{url_for('start.home')}")
    return wanted if is_own and wanted is not None and wanted.isprintable() and "\\" not in wanted else None
