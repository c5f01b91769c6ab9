"""Errors of pages as pages. What an error means is decided in `api.errors`; here it only gets words."""

import math

from flask import Response, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as WerkzeugResponse

from api import errors
from api.auth import clear_login_cookie
from api.portal.language import gettext, mark, ngettext
from shared.errors import AuthenticationError, ConflictError, NotFoundError, ValidationError

WORDS = {  # title and text
    403: (
        mark("This page is not for your account"),
        mark("You are signed in, but this account may not see or do this."),
    ),
    404: (
        mark("There is nothing here"),
        mark("The address is wrong, or what it led to is no longer kept."),
    ),
    413: (mark("That was too much at once"), mark("Send fewer or smaller files.")),
    429: (mark("Too many requests"), mark("Please wait before you try again.")),
    503: (
        mark("Not available right now"),
        mark("A part of the system does not answer. Nothing is wrong with your data. Try again shortly."),
    ),
}
FOREIGN_FORM = (
    mark("This form did not come from this site"),
    mark(
        "For your safety nothing was done. Open the page anew and try again. If that does not help, tell "
        "your clinic: the address of this site may not be set up correctly."
    ),
)
OTHER_4XX = (mark("That did not work"), mark("The request could not be handled. Go back and try again."))
OTHER = (mark("Something went wrong on our side"), mark("Try again. If it happens again, tell the support."))
# What forms show beside a field: sentences of `shared`, repeated so that they get into the catalogue.
SENTENCES = (
    mark("The current password is not right."),
    mark("The new password needs at least 10 characters."),
    mark("The new password must differ from the current one and from the user name."),
    mark("This scan has no result yet, so there is nothing to review."),
    mark("This scan was analysed again meanwhile. Look at the new result first."),
    mark("Say in a comment why the program's result is not right."),
    mark("The comment has more than 1000 characters."),
    mark("No scans found for report"),
    mark("The picture does not look like a brain MRI slice."),  # the input gate's, in the row of the scan
)


def answer_with_page(error: Exception) -> WerkzeugResponse:
    """The page for an error; whoever is not signed in, or no longer, is led to signing in."""
    answer = errors.answer_to(error)
    if isinstance(error, AuthenticationError):
        wanted = request.full_path.rstrip("?") if request.method == "GET" else None
        away = redirect(url_for("account_pages.sign_in", next=wanted), 303)
        clear_login_cookie(away)
        return away
    # Refused before anybody knew who asks: not for what the account may do, but for where the form came from.
    is_foreign_form = answer.status_code == 403 and "caller" not in g
    title, text = FOREIGN_FORM if is_foreign_form else _words(answer.status_code)
    wait = answer.headers.get("Retry-After")
    is_temporary = answer.status_code in (429, 503)
    page = render_template(
        "error.html",
        title=gettext(title),
        text=gettext(text),
        status=answer.status_code,
        wait=waiting_time(int(wait)) if wait else None,
        request_id=g.request_id if answer.status_code >= 500 else None,
        is_temporary=is_temporary,
        # Nothing of an address that leads nowhere is repeated.
        here=request.full_path.rstrip("?")
        if is_temporary and request.method == "GET"
        else url_for("start.home"),
    )
    shown = Response(page, answer.status_code, mimetype="text/html")
    for name in ("Retry-After", "Allow"):
        if name in answer.headers:
            shown.headers[name] = answer.headers[name]
    return shown


def waiting_time(seconds: int) -> str:
    """For a person: seconds below a minute, then minutes."""
    if seconds < 60:
        return str(ngettext("%(num)d second", "%(num)d seconds", seconds))
    return str(ngettext("%(num)d minute", "%(num)d minutes", math.ceil(seconds / 60)))


def sentence(error: ValidationError | AuthenticationError | ConflictError | NotFoundError) -> str:
    """What a domain error says, in the reader's language where the catalogue has it."""
    return str(gettext(str(error)))


def _words(status: int) -> tuple[str, str]:
    return WORDS.get(status, OTHER_4XX if status < 500 else OTHER)
