"""Who is calling. Every route is closed to all but admins unless it says otherwise."""

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar
from urllib.parse import urlsplit
from wsgiref.types import WSGIEnvironment

from flask import Flask, g, request
from werkzeug.http import parse_cookie
from werkzeug.wrappers import Response

from api.wiring import services, wiring
from shared import job_queries, logins
from shared.errors import AuthenticationError, AuthorizationError, NotFoundError
from shared.logins import STAFF, Caller, Role
from shared.models import Job
from shared.polled_jobs import PolledJob

COOKIE = "session"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
ADMINS = frozenset({Role.ADMIN})
EVERYBODY = frozenset(Role)

P = ParamSpec("P")
R = TypeVar("R")


def public(view: Callable[P, R]) -> Callable[P, R]:
    """Mark a view that needs no login and does not ask who is calling."""
    view.is_public = True  # type: ignore[attr-defined]
    return view


def public_by_link(view: Callable[P, R]) -> Callable[P, R]:
    """Mark a view that a signed link opens: a page shows hundreds of them at once to somebody signed in."""
    view.is_by_link = True  # type: ignore[attr-defined]
    return public(view)


def login_optional(view: Callable[P, R]) -> Callable[P, R]:
    """Mark a view for everybody that asks who is calling, if anybody: `caller_or_none`."""
    view.is_login_optional = True  # type: ignore[attr-defined]
    return for_signed_in(view)


def public_where_allowed(view: Callable[P, R]) -> Callable[P, R]:
    """Mark a view for admins and patients, and for everybody while ALLOW_PUBLIC_UPLOADS is on."""
    view.roles = EVERYBODY - {Role.READER}  # type: ignore[attr-defined]
    view.is_public_where_allowed = True  # type: ignore[attr-defined]
    return view


def for_staff(view: Callable[P, R]) -> Callable[P, R]:
    """Mark a view for admins and readers: it shows and changes nothing, or adds a review."""
    view.roles = STAFF  # type: ignore[attr-defined]
    return view


def for_signed_in(view: Callable[P, R]) -> Callable[P, R]:
    """Mark a view for everybody with a login; whose records it shows, it must check itself."""
    view.roles = EVERYBODY  # type: ignore[attr-defined]
    return view


def for_patients(view: Callable[P, R]) -> Callable[P, R]:
    """Mark a view for patients, about themselves."""
    view.roles = frozenset({Role.PATIENT})  # type: ignore[attr-defined]
    return view


def require_patient_access(patient_id: int) -> None:
    """Refuse patients who ask for somebody else's record."""
    who = caller()
    if not who.is_staff and who.id != patient_id:
        raise AuthorizationError("You may only see your own records.")


def may_see(who: Caller, job: Job | PolledJob) -> bool:
    """The staff sees all jobs, patients those about themselves."""
    return who.is_staff or job_queries.patient_of(job) == who.id


def caller() -> Caller:
    """The signed-in caller of this request."""
    who = g.get("caller")
    if not isinstance(who, Caller):
        raise AuthenticationError("Sign in first.")
    return who


def caller_or_none() -> Caller | None:
    """The caller of a view that does not insist on a login. A login that is not valid was refused."""
    who: Caller | None = g.get("caller")
    return who


def current_token() -> str | None:
    """The token that came with this request."""
    return token_in(request.environ)


def token_in(environ: WSGIEnvironment) -> str | None:
    """The token of a request: the header's, else the cookie's."""
    return _bearer(environ) or parse_cookie(environ).get(COOKIE)


def client_address() -> str:
    return request.remote_addr or "unknown"


def deny_by_default(app: Flask) -> None:
    """Check login and role before every view that is not marked public."""

    @app.before_request
    def check_login() -> None:
        view = app.view_functions.get(request.endpoint or "")
        if view is None:
            if request.routing_exception is not None:
                return  # Flask answers 404 or 405 itself
            raise NotFoundError("There is nothing at this address.")
        if request.method == "OPTIONS":
            return
        if getattr(view, "is_by_link", False):
            wiring().rate_limit.count_caller(client_address())
            return
        if getattr(view, "is_public", False) or (_is_open(view) and current_token() is None):
            wiring().rate_limit.count_address(client_address())
            return
        g.caller = _identify()
        wiring().rate_limit.count_caller(str(g.caller))
        if g.caller.role not in getattr(view, "roles", ADMINS):
            raise AuthorizationError("This account may not do that.")


def set_login_cookie(response: Response, token: str) -> None:
    """Sign the browser in. The cookie is out of scripts' reach and not sent by other sites' pages."""
    settings = services().settings
    response.set_cookie(
        COOKIE,
        token,
        max_age=int(settings.session_hours * 3600),
        httponly=True,
        secure=_is_cookie_secure(),
        samesite=settings.cookie_same_site,
    )


def clear_login_cookie(response: Response) -> None:
    response.delete_cookie(
        COOKIE, httponly=True, secure=_is_cookie_secure(), samesite=services().settings.cookie_same_site
    )


def _is_open(view: object) -> bool:
    """True if the view needs no login at the moment."""
    if getattr(view, "is_public_where_allowed", False):
        return services().settings.allow_public_uploads
    return getattr(view, "is_login_optional", False)


def _is_cookie_secure() -> bool:
    settings = services().settings
    return settings.is_production or settings.cookie_same_site == "None"


def _bearer(environ: WSGIEnvironment) -> str | None:
    scheme, _, bearer = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    return bearer.strip() or None if scheme.lower() == "bearer" else None


def _identify() -> Caller:
    token: Any = current_token()
    if not token:
        wiring().rate_limit.count_address(client_address())
        raise AuthenticationError("Sign in first.")
    if _bearer(request.environ) is None and request.method not in SAFE_METHODS:
        refuse_foreign_pages()
    with services().sessions() as session:
        who = logins.caller_of(session, token)
    if who is None:
        wiring().rate_limit.count_address(client_address())
        raise AuthenticationError("The login is not valid or has expired. Sign in again.")
    return who


def _own_origins() -> tuple[str, str]:
    """Of our own pages: as this request came, and as browsers see us where a proxy ends TLS."""
    public = urlsplit(services().settings.public_url)
    return f"{request.scheme}://{request.host}", f"{public.scheme}://{public.netloc}"


def refuse_foreign_pages() -> None:
    """CSRF defence for cookies: a browser names the page that sends the request; only ours may write.

    Clients that name none (no `Origin`, no `Sec-Fetch-Site`) are no browsers and cannot be tricked.
    Views that are public and yet set a cookie call this themselves. Raises `AuthorizationError`.
    """
    origin = request.headers.get("Origin")
    site = request.headers.get("Sec-Fetch-Site", "none" if origin is None else "cross-site")
    if origin is None and site in ("none", "same-origin"):
        return
    if origin is not None and origin in (*_own_origins(), *services().settings.cors_origins):
        return
    raise AuthorizationError("This page may not act for the signed-in user.")
