"""What other pages may do with a signed-in browser: nothing. And what its cookie allows."""

import itertools

from flask.testing import FlaskClient

from shared.services import Services
from tests.integration.conftest import ADMIN_PASSWORD, client_of

OURS = ("http://localhost:3000", "http://127.0.0.1:3000")
FOREIGN = (
    "https://evil.example",
    "null",
    "",
    "*",
    "http://localhost:3000.evil.example",
    "http://evil-localhost:3000",
    "http://localhost:3000@evil.example",
    "http://localhost:30000",
    "http://localhost:3001",
    "http://localhost",
    "https://localhost:3000",
    "http://LOCALHOST:3000",
    "http://localhost:3000/",
    "http://localhost:3000, https://evil.example",
    "http://127.0.0.1:3000.evil.example",
    "http://[",
    "http://[::1",
    "http://\xff",
    "file://",
)


def test_an_unknown_origin_gets_no_cors_header(browser: FlaskClient) -> None:
    # Browsers write hosts small and never send an empty origin; both are taken for the origins they mean.
    for origin, method in itertools.product(set(FOREIGN) - {"", "http://LOCALHOST:3000"}, ("GET", "OPTIONS")):
        asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        answer = browser.open("/api/admin/patients", method=method, headers=asked)
        assert answer.status_code == 200
        assert [name for name in answer.headers.keys() if name.startswith("Access-Control")] == [], origin  # noqa: SIM118


def test_our_origins_are_echoed_exactly_and_caches_are_told(browser: FlaskClient) -> None:
    for origin in OURS:
        answer = browser.get("/api/admin/patients", headers={"Origin": origin})
        assert answer.headers["Access-Control-Allow-Origin"] == origin
        assert "Origin" in answer.headers["Vary"]


SITES = (None, "same-origin", "same-site", "cross-site", "none")
WRITES = (("POST", "/api/batches"), ("PUT", "/api/admin/patients/1"), ("DELETE", "/api/batches/x"))
TYPES = ("application/json", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data")


def test_a_cookie_writes_only_for_our_own_pages(browser: FlaskClient) -> None:
    """By origin, site, method and content type: what a browser says of itself decides, nothing else."""
    origins = (None, "http://localhost", *OURS, *FOREIGN)
    for origin, site, (method, path), kind in itertools.product(origins, SITES, WRITES, TYPES):
        headers = {"Origin": origin, "Sec-Fetch-Site": site}
        given = {name: value for name, value in headers.items() if value is not None}
        answer = browser.open(path, method=method, data=b"{}", content_type=kind, headers=given)
        may = origin in (*OURS, "http://localhost") or (
            origin is None and site in (None, "none", "same-origin")
        )
        assert (answer.status_code == 403) == (not may), (origin, site, method, kind)
        assert answer.status_code < 500


def test_a_page_on_our_host_under_another_scheme_is_not_ours(browser: FlaskClient) -> None:
    for origin in ("https://localhost", "file://localhost", "//localhost", "ftp://localhost"):
        answer = browser.post("/api/batches", json={}, headers={"Origin": origin})
        assert answer.status_code == 403, origin


def test_behind_tls_our_own_page_is_the_one_at_the_public_address(
    production: Services, admin: FlaskClient
) -> None:
    """The proxy ends TLS, so the request itself looks like plain HTTP."""
    token = admin.environ_base["HTTP_AUTHORIZATION"].removeprefix("Bearer ")
    client = client_of(production, use_cookies=False)
    for origin, status in (("https://scans.example.org", 201), ("http://scans.example.org", 403)):
        headers = {"Cookie": f"session={token}", "Origin": origin}
        assert client.post("/api/batches", json={}, headers=headers).status_code == status


def test_a_bearer_token_needs_no_page(admin: FlaskClient) -> None:
    """Who can read the token may use it: no browser adds it by itself."""
    for origin in FOREIGN:
        headers = {"Origin": origin, "Sec-Fetch-Site": "cross-site"}
        assert admin.post("/api/batches", json={}, headers=headers).status_code == 201


def test_a_foreign_form_cannot_sign_a_browser_in(browser: FlaskClient) -> None:
    """Content types that a page may send without asking first are no JSON."""
    body = f'{{"username": "admin", "password": "{ADMIN_PASSWORD}"}}'
    for kind in (*TYPES[1:], "", "text/plain; application/json"):
        answer = browser.post("/api/admin/login", data=body, content_type=kind)
        assert answer.status_code == 400, kind
        assert "Set-Cookie" not in answer.headers


def test_the_cookie_of_production_is_for_tls_and_our_scripts_cannot_read_it(
    production: Services, admin: FlaskClient
) -> None:
    del admin
    client = client_of(production, use_cookies=False)
    answer = client.post("/api/admin/login", json={"username": "admin", "password": ADMIN_PASSWORD})
    parts = {part.strip() for part in answer.headers["Set-Cookie"].split(";")}
    assert {"HttpOnly", "Secure", "SameSite=Lax", "Path=/"} < parts
    assert not [part for part in parts if part.startswith("Domain")]
    headers = {"Authorization": f"Bearer {answer.json['token']}"}
    ended = client.post("/api/account/logout", json={}, headers=headers)
    assert {"HttpOnly", "Secure", "Max-Age=0"} < {p.strip() for p in ended.headers["Set-Cookie"].split(";")}
