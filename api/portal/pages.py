"""What every page has: the account that is signed in, its headers, its errors, and the frame around it.

A module of pages makes its blueprint with `page_blueprint` and answers with `show`.
"""

from typing import Any

from flask import Blueprint, Response, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as WerkzeugResponse

from api import auth
from api.portal import language, policy
from api.portal.error_pages import answer_with_page
from api.portal.navigation import links_for
from api.portal.static_files import asset
from api.wiring import services
from shared import logins
from shared.logins import Account, Role

PREFIX = "/portal"
START_OF = {
    Role.PATIENT: "patient_pages.list_scans",
    Role.ADMIN: "dashboard_pages.dashboard",
    Role.READER: "dashboard_pages.dashboard",
}
# What somebody may do who has to choose a password first.
_BEFORE_PASSWORD = frozenset(
    {"account_pages.password", "account_pages.change_password", "account_pages.log_out"}
)


def page_blueprint(name: str) -> Blueprint:
    """A blueprint below /portal whose views are pages: errors too, and a generated password comes first.

    Each view needs its mark of `api.auth`, like any other.
    """
    blueprint = Blueprint(name, __name__, url_prefix=PREFIX, template_folder="templates")
    blueprint.before_request(_know_account)
    blueprint.register_error_handler(Exception, answer_with_page)
    blueprint.context_processor(_frame)
    blueprint.after_request(_set_headers)
    return blueprint


def show(template: str, status: int = 200, **facts: Any) -> Response:
    """A page from its template."""
    return Response(render_template(template, **facts), status, mimetype="text/html")


def go_to(endpoint: str, **values: Any) -> WerkzeugResponse:
    """Lead to another page, with GET whatever this request was."""
    return redirect(url_for(endpoint, **values), 303)


def account() -> Account | None:
    """Who is signed in, for the frame; None on pages that everybody sees."""
    known: Account | None = g.get("account")
    return known


def _know_account() -> WerkzeugResponse | None:
    if "caller" not in g:
        return None
    with services().sessions() as session:
        g.account = logins.account_of(session, auth.caller())
    if g.account.has_generated_password and request.endpoint not in _BEFORE_PASSWORD:
        return go_to("account_pages.password")
    return None


def _frame() -> dict[str, Any]:
    who = g.get("caller")
    known = account()
    return {
        "account": known,
        "role": who.role if who is not None else None,
        "asset": asset,
        # None of these pages opens before a generated password is changed.
        "links": links_for(who.role, request.endpoint) if known and not known.has_generated_password else [],
        "here": request.full_path.rstrip("?") if request.method == "GET" else url_for("start.home"),
        "language": language.chosen(),
        "languages": language.LANGUAGES,
    }


def _set_headers(response: Response) -> Response:
    response.headers.setdefault("Content-Security-Policy", policy.of_this_page())
    # Not "no-referrer": browsers then name no origin in forms, and ours could not be told from foreign ones.
    response.headers.setdefault("Referrer-Policy", "same-origin")
    response.headers.setdefault("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
    response.headers.setdefault("Cross-Origin-Opener-Policy", "same-origin")
    return response
