"""What holds for every page: headers, errors in the pages' look, static files, structure."""

from dataclasses import replace

import pytest
from flask import Response
from flask.testing import FlaskClient
from sqlalchemy import create_engine
from sqlalchemy.orm import sessionmaker

from api import create_app
from api.auth import public
from api.portal.pages import page_blueprint
from shared.errors import StorageError, TooManyRequestsError
from shared.services import Services
from tests.integration.conftest import client_of
from tests.integration.portal import GERMAN, Outline, Visitor, upload, visitor

OWN_PAGES = ("/portal/scans", "/portal/scans/1", "/portal/reports", "/portal/password", "/portal/nowhere")


@pytest.fixture
def ada(services: Services, admin: FlaskClient) -> Visitor:
    ada = visitor(services, "Ada")
    upload(admin, ada.id)
    return ada


@pytest.fixture
def failing(services: Services) -> FlaskClient:
    """A client of the application with a page for each way of failing."""
    errors: dict[str, Exception] = {
        "limit": TooManyRequestsError("Too many.", 125),
        "store": StorageError("made-up outage"),
        "bug": RuntimeError("a secret of the code"),
    }
    blueprint = page_blueprint("failing")

    @blueprint.get("/fails/<name>")
    @public
    def fail(name: str) -> Response:
        raise errors[name]

    app = create_app(services)
    app.register_blueprint(blueprint)
    return app.test_client()


@pytest.mark.parametrize("address", OWN_PAGES)
def test_every_page_is_whole_and_has_no_inline_code(ada: Visitor, address: str) -> None:
    page = ada.get(address)
    outline = Outline(page.text)
    for tag in ("html", "title", "header", "main", "footer", "h1"):
        assert len(outline.all(tag)) == 1, tag
    assert outline.all("a")[0] == {"class": "skip", "href": "#main"}
    assert "style" not in {tag for tag, _ in outline.tags}
    assert all("src" in script for script in outline.all("script"))
    for tag, attributes in outline.tags:
        assert not [name for name in attributes if name.startswith("on") or name == "style"], tag
    fields = [field for field in outline.all("input") if field.get("type") not in ("hidden", "radio")]
    labels = {label.get("for") for label in outline.all("label")}
    assert {field.get("id") for field in fields if field.get("aria-hidden") is None} <= labels


@pytest.mark.parametrize("address", OWN_PAGES)
def test_every_page_forbids_what_it_does_not_need_and_is_kept_nowhere(ada: Visitor, address: str) -> None:
    headers = ada.get(address).headers
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["Cache-Control"] == "no-store"
    # "no-referrer" would make browsers send our own forms with `Origin: null`, and they would be refused.
    assert headers["Referrer-Policy"] == "same-origin"


def test_a_wrong_address_is_a_page_below_portal_and_json_elsewhere(ada: Visitor) -> None:
    page = ada.get("/portal/nowhere/at/all")
    assert (page.status_code, page.mimetype) == (404, "text/html")
    assert "There is nothing here" in page.text
    assert "Hier ist nichts" in ada.get("/portal/nowhere", headers=GERMAN).text
    assert ada.get("/api/nowhere").json["code"] == "NOT_FOUND_ERROR"
    assert ada.get("/portal/logout").mimetype == "text/html"  # which takes POST only


@pytest.mark.parametrize(
    "address",
    [
        "/portal/scans/999",
        "/portal/scans/99999999999999999999999",
        "/portal/scans?before=x",
        f"/portal/scans?before={'9' * 40}",
        "/portal/reports?before=-1",
        "/portal/reports/R0/download",
        "/portal/reports/%00/download",
    ],
)
def test_what_is_not_there_is_a_404_page(ada: Visitor, address: str) -> None:
    page = ada.get(address)
    assert (page.status_code, page.mimetype) == (404, "text/html")


def test_a_page_of_the_staff_is_refused_with_a_page(ada: Visitor) -> None:
    page = ada.get("/portal/staff")
    assert page.status_code == 403
    assert "This page is not for your account" in page.text


def test_too_many_requests_are_told_with_the_time_to_wait(failing: FlaskClient) -> None:
    page = failing.get("/portal/fails/limit")
    assert (page.status_code, page.headers["Retry-After"]) == (429, "125")
    assert "You can try again in 3 minutes." in page.text
    german = failing.get("/portal/fails/limit", headers=GERMAN).text
    assert "Sie können es in 3 Minuten erneut versuchen." in german


def test_an_outage_is_a_page_to_try_again(failing: FlaskClient) -> None:
    page = failing.get("/portal/fails/store?a=1")
    assert page.status_code == 503
    assert "Not available right now" in page.text
    assert 'href="/portal/fails/store?a=1"' in page.text
    assert "You can try again in 5 seconds." in page.text


def test_a_bug_is_a_page_that_tells_nothing_but_the_requests_id(failing: FlaskClient) -> None:
    page = failing.get("/portal/fails/bug", headers={"X-Request-ID": "quote-me"})
    assert (page.status_code, page.mimetype) == (500, "text/html")
    assert "<code>quote-me</code>" in page.text
    assert "secret" not in page.text


def test_without_a_database_pages_say_so_and_the_form_still_opens(services: Services) -> None:
    engine = create_engine(
        "postgresql+psycopg2://nobody@127.0.0.1:1/none", connect_args={"connect_timeout": 1}
    )
    client = client_of(replace(services, sessions=sessionmaker(engine)), use_cookies=True)
    client.set_cookie("session", "anything")
    assert client.get("/portal/sign-in").status_code == 200
    page = client.get("/portal/scans")
    assert (page.status_code, page.mimetype) == (503, "text/html")
    engine.dispose()


def test_static_files_are_kept_under_their_version_only(anonymous: FlaskClient) -> None:
    outline = Outline(anonymous.get("/portal/sign-in").text)
    links = [link["href"] or "" for link in outline.all("link")] + [
        script["src"] or "" for script in outline.all("script")
    ]
    assert len(links) == 3
    for link in links:
        assert "immutable" in anonymous.get(link).headers["Cache-Control"]
        old = anonymous.get(link.partition("?")[0] + "?v=old")
        assert (old.status_code, old.headers["Cache-Control"]) == (200, "no-cache")
    for wrong in ("nothing.css", "../pages.py", "..%2fpages.py"):
        assert anonymous.get(f"/portal/static/{wrong}").status_code == 404, wrong
