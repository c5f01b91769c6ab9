"""Where people come in: the host's root, the first page after signing in, static files, wrong addresses."""

from flask import Blueprint, Response, request, send_from_directory
from werkzeug.wrappers import Response as WerkzeugResponse

from api.auth import caller, for_signed_in, public
from api.portal.pages import START_OF, go_to, page_blueprint
from api.portal.static_files import FOLDER, FOREVER_S, TYPES, version
from shared.errors import NotFoundError

blueprint = page_blueprint("start")
root = Blueprint("root", __name__)


@root.get("/")
@public
def from_root() -> WerkzeugResponse:
    """Who types just the host's name wants the pages."""
    return go_to("start.home")


@blueprint.get("/", strict_slashes=False)  # else /portal is redirected to whatever host the request named
@for_signed_in
def home() -> WerkzeugResponse:
    """The first page of this account."""
    return go_to(START_OF[caller().role])


@blueprint.get("/static/<path:name>")
@public
def static_file(name: str) -> Response:
    """A style, script or icon. Under its present version browsers keep it."""
    response = send_from_directory(FOLDER, name, mimetype=TYPES.get(f".{name.rpartition('.')[2]}"))
    is_current = request.args.get("v") == version(name)
    response.headers["Cache-Control"] = (
        f"public, max-age={FOREVER_S}, immutable" if is_current else "no-cache"
    )
    return response


@blueprint.get("/<path:address>")
@public
def nothing(address: str) -> Response:  # noqa: ARG001
    """All other addresses, so that a wrong one is answered with a page."""
    raise NotFoundError("There is nothing at this address.")
