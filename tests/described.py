"""Checks answers against the API's own description: every answer of the test suite goes through here."""

import json
import re
from typing import Any

from flask_openapi3 import OpenAPI
from jsonschema import Draft202012Validator
from werkzeug.test import TestResponse

UNDESCRIBED = re.compile(r"/api/(files/.*|openapi\.json|docs.*)|/|/portal(/.*)?")  # pages are not the API


def check_described(app: OpenAPI, answer: TestResponse) -> None:
    """Fail unless status, content type and body are what the description says of this route."""
    request = answer.request
    path = request.path
    if request.method in ("OPTIONS", "HEAD") or UNDESCRIBED.fullmatch(path):
        return
    described = app.api_doc
    operation = _operation(described, request.method, path)
    if operation is None:
        assert answer.status_code in (401, 404, 405, 413, 429), f"{request.method} {path} is not described"
        assert answer.json["success"] is False
        return
    said = operation["responses"].get(str(answer.status_code))
    assert said is not None, f"{request.method} {path} may not answer {answer.status_code}"
    content = said.get("content", {})
    if answer.status_code in (302, 304):
        return
    assert answer.mimetype in content, f"{request.method} {path}: {answer.mimetype} is not described"
    if answer.mimetype == "application/json":
        schema = {**content["application/json"]["schema"], "components": described["components"]}
        problems = list(Draft202012Validator(schema).iter_errors(json.loads(answer.data)))
        assert not problems, f"{request.method} {path} {answer.status_code}: {problems[0]}"


def _operation(described: dict[str, Any], method: str, path: str) -> dict[str, Any] | None:
    """The literal path first, then templates with as few parameters as possible."""
    candidates = []
    for template, item in described["paths"].items():
        pattern = re.sub(r"\\{[a-z_]+\\}", "[^/]+", re.escape(template))
        if re.fullmatch(pattern, path) and method.lower() in item:
            candidates.append((template.count("{"), item[method.lower()]))
    return min(candidates, key=lambda found: found[0])[1] if candidates else None
