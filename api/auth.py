"""Who is calling. Every route is closed unless it says otherwise."""

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar
from urllib.parse import urlsplit

from flask import Flask, Response, g, request

from api.wiring import services
from shared import accounts
from shared.accounts import Caller, Role
from shared.errors import AuthenticationError, AuthorizationError, NotFoundError

COOKIE = "session"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

P = ParamSpec("P")
R = TypeVar("R")


def public(view: Callable[P, R]) -> Callable[P, R]:
    """Mark a view that needs no login."""
    view.is_public = True  # type: ignore[attr-defined]
    return view


def admin_only(view: Callable[P, R]) -> Callable[P, R]:
    """Refuse everybody but admins."""

    @wraps(view)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        if caller().role != Role.ADMIN:
            raise AuthorizationError("This needs an admin account.")
        return view(*args, **kwargs)

    return guarded


def require_patient_access(patient_id: int) -> None:
    """Refuse patients who ask for somebody else's record."""
    who = caller()
    if who.role != Role.ADMIN and who.id != patient_id:
        raise AuthorizationError("You may only see your own records.")


def caller() -> Caller:
    """The signed-in caller of this request."""
    who = g.get("caller")
    if not isinstance(who, Caller):
        raise AuthenticationError("Sign in first.")
    return who


def deny_by_default(app: Flask) -> None:
    """Check the login before every view that is not marked public."""

    @app.before_request
    def check_login() -> None:
        view = app.view_functions.get(request.endpoint or "")
        if view is None:
            if request.routing_exception is not None:
                return  # Flask answers 404 or 405 itself
            raise NotFoundError("There is nothing at this address.")
        if request.method == "OPTIONS" or getattr(view, "is_public", False):
            return
        g.caller = _identify()


def set_login_cookie(response: Response, token: str) -> None:
    """Sign the browser in. The cookie is out of scripts' reach and not sent by other sites' pages."""
    settings = services().settings
    response.set_cookie(
        COOKIE,
        token,
        max_age=int(settings.session_hours * 3600),
        httponly=True,
        secure=settings.flask_env == "production",
        samesite="Lax",
    )


def _identify() -> Caller:
    scheme, _, bearer = request.headers.get("Authorization", "").partition(" ")
    token: Any = bearer.strip() if scheme.lower() == "bearer" else None
    if not token:
        token = request.cookies.get(COOKIE)
        if token and request.method not in SAFE_METHODS:
            _refuse_foreign_pages()
    if not token:
        raise AuthenticationError("Sign in first.")
    with services().sessions() as session:
        who = accounts.caller_of(session, token)
    if who is None:
        raise AuthenticationError("The login is not valid or has expired. Sign in again.")
    return who


def _refuse_foreign_pages() -> None:
    """CSRF defence for cookies: a browser names the page that sends the request; only ours may write.

    Clients that name none (no `Origin`, no `Sec-Fetch-Site`) are no browsers and cannot be tricked.
    """
    origin = request.headers.get("Origin")
    site = request.headers.get("Sec-Fetch-Site", "none" if origin is None else "cross-site")
    if origin is None and site in ("none", "same-origin"):
        return
    if origin is not None:
        same = urlsplit(origin).netloc == request.host
        if same or origin in services().settings.cors_origins:
            return
    raise AuthorizationError("This page may not act for the signed-in user.")
