"""The OpenAPI description, made from the routes, and a page to browse it that needs no other host."""

from importlib.resources import files
from typing import Any

from flask import Blueprint, Response, current_app, jsonify
from flask_openapi3 import Info, OpenAPI
from flask_openapi3.types import ResponseDict

from api.auth import COOKIE, public
from api.schemas.fields import ErrorAnswer
from shared import __version__

ERRORS: ResponseDict = dict.fromkeys((400, 401, 403, 404, 405, 409, 413, 415, 429, 500, 503), ErrorAnswer)
NO_LOGIN: list[dict[str, list[str]]] = [{}]
SECURITY_SCHEMES: dict[str, Any] = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "cookie": {"type": "apiKey", "in": "cookie", "name": COOKIE},
}
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Brain Tumor Detection API</title>
<link rel="icon" href="data:,">
<script type="module" src="/api/docs/rapidoc.js"></script>
</head>
<body>
<rapi-doc spec-url="/api/openapi.json" load-fonts="false" show-header="false" render-style="read"></rapi-doc>
</body>
</html>
"""
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

blueprint = Blueprint("documentation", __name__)


def make_documented_app() -> OpenAPI:
    """An application whose routes describe themselves."""
    return OpenAPI(
        "api",
        info=Info(title="Brain Tumor Detection API", version=__version__),
        security_schemes=SECURITY_SCHEMES,
        validation_error_status=400,
        validation_error_model=ErrorAnswer,
        openapi_extensions={"security": [{"bearer": []}, {"cookie": []}]},
        doc_ui=False,
        static_folder=None,
    )


def binary(description: str, *types: str) -> dict[str, Any]:
    """The documented answer of a view that sends a file."""
    content = {name: {"schema": {"type": "string", "format": "binary"}} for name in types}
    return {"description": description, "content": content}


@blueprint.get("/api/openapi.json")
@public
def description() -> Response:
    """The OpenAPI 3.1 description."""
    app = current_app
    assert isinstance(app, OpenAPI)  # noqa: S101 - for the type checker: `create_app` makes no other
    response = jsonify(app.api_doc)
    response.headers["Cache-Control"] = "public, max-age=300"
    return response


@blueprint.get("/api/docs")
@public
def page() -> Response:
    """The browsable page."""
    response = Response(PAGE, mimetype="text/html")
    response.headers["Content-Security-Policy"] = PAGE_POLICY
    return response


@blueprint.get("/api/docs/rapidoc.js")
@public
def script() -> Response:
    """RapiDoc, from its package."""
    source = files("flask_openapi3_rapidoc") / "templates" / "rapidoc" / "js" / "rapidoc-min.js"
    response = Response(source.read_bytes(), mimetype="text/javascript")
    response.headers["Cache-Control"] = "public, max-age=86400"
    return response
