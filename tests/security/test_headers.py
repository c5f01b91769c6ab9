"""Every answer of every route tells browsers to keep it, its sender and its type to themselves."""

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from shared.services import Services
from tests.integration.conftest import client_of
from tests.integration.test_access import TABLE, World, url_of
from tests.security.conftest import PUBLIC_URL

PAGES = {"/api/docs"}
MAY_BE_KEPT = {  # by browsers, for minutes: no personal data, or behind a link that lasts as long
    "/api/docs/rapidoc.js": "public, max-age=86400",
    "/api/openapi.json": "public, max-age=300",
    "/api/files/images/<token>": "private, max-age=300",
    "/api/files/reports/<token>": "private, max-age=300",
    "/api/jobs/<job_id>": "private, no-cache",
    "/portal/static/<path:name>": "no-cache",
}
SHOWN_ELSEWHERE = {"/api/files/images/<token>"}
FRAMED = {
    "/portal/staff/reports/<report_id>/file"
}  # by our own pages: a PDF, which no policy may forbid to show


def check(answer: TestResponse, rule: str) -> list[str]:
    """What is wrong with the headers of this answer."""
    headers = answer.headers
    policy = headers.get("Content-Security-Policy", "")
    kept = headers.get("Cache-Control", "")
    shared = headers.get("Cross-Origin-Resource-Policy")
    is_portal = rule == "/" or rule.startswith("/portal/")
    # Under "no-referrer" browsers send our own forms with `Origin: null`, which is refused.
    referrer = "same-origin" if rule.startswith("/portal/") else "no-referrer"
    is_picture = rule in SHOWN_ELSEWHERE and answer.status_code < 400
    is_framed = rule in FRAMED and answer.status_code == 200
    is_fine = {
        "nosniff": headers.get("X-Content-Type-Options") == "nosniff",
        "policy": policy == "frame-ancestors 'self'"
        if is_framed
        else "default-src 'none'" in policy and "frame-ancestors 'none'" in policy,
        "referrer": headers.get("Referrer-Policy") == referrer,
        "frames": headers.get("X-Frame-Options") == ("SAMEORIGIN" if is_framed else "DENY"),
        "cache": kept == "no-store" or kept == MAY_BE_KEPT.get(rule),
        "shared": shared == ("cross-origin" if is_picture else None),
        "id": bool(headers.get("X-Request-ID")),
        "type": answer.mimetype != "text/html" or rule in PAGES or is_portal or answer.status_code == 302,
        "product": "werkzeug" not in headers.get("Server", "").lower() and "X-Powered-By" not in headers,
    }
    return [f"{answer.status_code} {rule}: {name}" for name, fine in is_fine.items() if not fine]


@pytest.mark.parametrize("name", ["nobody", "patient B", "admin"])
def test_every_answer_of_every_route_has_the_headers(
    world: World, callers: dict[str, FlaskClient], name: str
) -> None:
    wrong, statuses = [], set()
    for (method, rule), (send, _) in TABLE.items():
        if rule.endswith(("logout", "reset-password")):
            continue
        for verb in (method, "OPTIONS", "TRACE"):
            content = send(world) if verb == method else {}
            answer = callers[name].open(url_of(rule, world), method=verb, **content)
            statuses.add(answer.status_code)
            # Options and refused methods are answered without looking at the view.
            wrong += check(answer, rule) if verb == method else []
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert wrong == []
    assert {200, 401, 405} < statuses


@pytest.mark.parametrize(
    ("method", "path", "content", "status"),
    [
        ("GET", "/nowhere", {}, 404),
        ("GET", "/api//health", {}, 404),
        ("DELETE", "/api/health", {}, 405),
        ("POST", "/api/admin/patients", {"data": b"{", "content_type": "application/json"}, 400),
        ("POST", "/api/admin/scans/upload", {"data": bytes(17_000_000), "content_type": "text/plain"}, 413),
        ("GET", "/api/report/file/%2e%2e%2fx.pdf", {}, 404),
    ],
)
def test_refusals_have_them_too(
    admin: FlaskClient, method: str, path: str, content: dict[str, object], status: int
) -> None:
    answer = admin.open(path, method=method, **content)
    assert answer.status_code == status
    assert check(answer, "") == []


def test_behind_tls_browsers_are_told_to_stay_there(services: Services, production: Services) -> None:
    for path in ("/api/health", "/nowhere", "/api/docs"):
        secure = client_of(production, use_cookies=False).get(path)
        assert secure.headers["Strict-Transport-Security"] == "max-age=31536000"
        plain = client_of(services, use_cookies=False).get(path)
        assert "Strict-Transport-Security" not in plain.headers
    assert production.settings.public_url == PUBLIC_URL


def test_a_failure_of_ours_has_them_too(admin: FlaskClient, services: Services) -> None:
    services.sessions.kw["bind"].dispose()
    app = admin.application

    def fails() -> None:
        raise ValueError("a secret: /etc/passwd")

    app.before_request_funcs.setdefault(None, []).append(fails)
    answer = admin.get("/api/admin/patients")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert check(answer, "") == []
