"""Signing in and out on the pages, the change of a generated password, and the language."""

import re

import pytest
from flask.testing import FlaskClient

from shared import accounts
from shared.accounts import Credentials, PatientFacts
from shared.models import AdminRole
from shared.services import Services
from tests.integration.conftest import ADMIN_PASSWORD, client_of
from tests.integration.portal import GERMAN, ORIGIN, Visitor, post, sign_in, visitor

NEW = "a longer phrase of my own"


@pytest.fixture
def credentials(services: Services) -> Credentials:
    """Of a patient who has never signed in."""
    with services.sessions.begin() as session:
        return accounts.create_patient(session, PatientFacts("New", "new@example.org"))[1]


@pytest.fixture
def staff(services: Services) -> None:
    with services.sessions.begin() as session:
        accounts.add_admin(session, "admin", None, ADMIN_PASSWORD)
        accounts.add_admin(session, "reader", None, ADMIN_PASSWORD, AdminRole.READER)


@pytest.fixture
def ada(services: Services) -> Visitor:
    return visitor(services, "Ada")


def test_the_hosts_root_leads_over_the_start_to_signing_in(anonymous: FlaskClient) -> None:
    for address in ("/", "/portal", "/portal/"):
        assert (anonymous.get(address).location or "").startswith("/portal/"), "an address of this host"
        page = anonymous.get(address, follow_redirects=True)
        assert (page.status_code, page.request.path) == (200, "/portal/sign-in")
        assert "<h1>Sign in</h1>" in page.text


@pytest.mark.usefixtures("staff")
@pytest.mark.parametrize("username", ["admin", "reader"])
def test_the_staff_signs_in_and_lands_on_its_own_start_page(anonymous: FlaskClient, username: str) -> None:
    answer = sign_in(anonymous, username, ADMIN_PASSWORD, **{"as": "staff"})
    assert (answer.status_code, answer.location) == (303, "/portal/staff")
    assert f"Welcome, {username}" in anonymous.get("/portal/staff").text


def test_the_login_of_a_page_is_the_apis(ada: Visitor) -> None:
    assert ada.get("/api/account").json["data"]["role"] == "patient"
    cookie = ada.client.get_cookie("session")
    assert cookie is not None
    assert (cookie.http_only, cookie.same_site) == (True, "Lax")


def test_a_patients_name_opens_nothing_of_the_staff(anonymous: FlaskClient, credentials: Credentials) -> None:
    answer = sign_in(anonymous, credentials.username, credentials.password, **{"as": "staff"})
    assert answer.status_code == 401


def test_a_wrong_password_is_said_and_the_name_is_kept(
    anonymous: FlaskClient, credentials: Credentials
) -> None:
    page = sign_in(anonymous, credentials.username, "wrong")
    assert page.status_code == 401
    assert "<title>Error: Sign in" in page.text
    assert 'role="alert"' in page.text
    assert f'value="{credentials.username}"' in page.text
    assert "wrong" not in re.findall(r'value="([^"]*)"', page.text)


def test_an_empty_field_is_named_where_it_is(anonymous: FlaskClient) -> None:
    page = sign_in(anonymous, "ada", "")
    assert page.status_code == 400
    assert 'aria-describedby="password-wrong"' in page.text
    assert 'id="password-wrong">Please fill in this field.' in page.text
    assert "username-wrong" not in page.text


def test_text_that_no_field_takes_is_no_server_error(anonymous: FlaskClient) -> None:
    assert sign_in(anonymous, "a\0b", "x").status_code == 400
    assert sign_in(anonymous, "x" * 5000, "x" * 5000).status_code == 400


def test_too_many_wrong_passwords_are_told_with_the_time_to_wait(
    services: Services, anonymous: FlaskClient, credentials: Credentials
) -> None:
    for _ in range(services.settings.login_failures_per_account):
        assert sign_in(anonymous, credentials.username, "wrong").status_code == 401
    page = sign_in(anonymous, credentials.username, credentials.password)
    assert page.status_code == 429
    assert int(page.headers["Retry-After"]) > 0
    assert re.search(r"You can try again in \d+ minutes\.", page.text)


def test_a_page_of_another_site_can_neither_sign_in_nor_out_nor_change_the_language(
    anonymous: FlaskClient, credentials: Credentials, ada: Visitor
) -> None:
    foreign = {"Origin": "https://elsewhere.example", "Sec-Fetch-Site": "cross-site"}
    form = {"username": credentials.username, "password": credentials.password}
    for client, address in (
        (anonymous, "/portal/sign-in"),
        (anonymous, "/portal/language"),
        (ada.client, "/portal/logout"),
        (ada.client, "/portal/password"),
    ):
        page = client.post(address, data=form, headers=foreign)
        assert page.status_code == 403, address
        assert "This form did not come from this site" in page.text
        # What a browser sends whose page told it to name no origin.
        assert client.post(address, data=form, headers={"Origin": "null"}).status_code == 403, address
    assert ada.get("/portal/scans").status_code == 200


def test_a_generated_password_is_changed_before_anything_else(
    services: Services, anonymous: FlaskClient, credentials: Credentials
) -> None:
    sign_in(anonymous, credentials.username, credentials.password)
    for address in ("/portal/", "/portal/scans", "/portal/reports", "/portal/scans/1"):
        assert anonymous.get(address).location == "/portal/password", address
    form = {"current_password": credentials.password, "new_password": NEW, "repeated_password": NEW}
    assert post(anonymous, "/portal/password", **form).location == "/portal/password/changed"
    assert "Password saved" in anonymous.get("/portal/password/changed").text
    assert anonymous.get("/portal/scans").status_code == 200
    again = client_of(services, use_cookies=True)
    assert sign_in(again, credentials.username, credentials.password).status_code == 401
    assert sign_in(again, credentials.username, NEW).status_code == 303


@pytest.mark.parametrize(
    ("change", "field", "english", "german"),
    [
        ({"current_password": "no"}, "current_password", "is not right", "stimmt nicht"),
        (
            {"new_password": "short", "repeated_password": "short"},
            "new_password",
            "at least 10",
            "mindestens 10",
        ),
        ({"repeated_password": "other"}, "repeated_password", "differ", "verschieden"),
        ({"new_password": ""}, "new_password", "fill in", "füllen"),
        (
            {"new_password": "same", "repeated_password": "same"},
            "new_password",
            "must differ",
            "unterscheiden",
        ),
    ],
)
def test_what_is_wrong_with_a_new_password_is_said_at_its_field_in_the_readers_language(
    anonymous: FlaskClient,
    credentials: Credentials,
    change: dict[str, str],
    field: str,
    english: str,
    german: str,
) -> None:
    sign_in(anonymous, credentials.username, credentials.password)
    form = {"current_password": credentials.password, "new_password": NEW, "repeated_password": NEW, **change}
    form = {name: credentials.password if text == "same" else text for name, text in form.items()}
    for headers, words in ((ORIGIN, english), ({**ORIGIN, **GERMAN}, german)):
        page = anonymous.post("/portal/password", data=form, headers=headers)
        assert page.status_code == 400
        said = re.search(rf'id="{field}-wrong">([^<]*)<', page.text)
        assert said is not None
        assert words in said[1]


def test_after_signing_out_the_pages_are_closed(ada: Visitor) -> None:
    token = ada.client.get_cookie("session").value
    page = ada.client.post("/portal/logout", headers=ORIGIN, follow_redirects=True)
    assert "You have signed out." in page.text
    assert ada.get("/portal/scans").location == "/portal/sign-in?next=/portal/scans"
    ada.client.set_cookie("session", token)
    assert ada.get("/portal/scans").status_code == 303  # not just forgotten by the browser


@pytest.mark.usefixtures("staff")
def test_signing_in_leads_back_to_the_page_that_was_asked_for(
    anonymous: FlaskClient,
) -> None:
    asked = anonymous.get("/portal/reports?before=9", follow_redirects=True)
    assert '<input type="hidden" name="next" value="/portal/reports?before=9">' in asked.text
    form = {"as": "staff", "next": "/portal/reports?before=9"}
    assert sign_in(anonymous, "admin", ADMIN_PASSWORD, **form).location == "/portal/reports?before=9"


@pytest.mark.usefixtures("staff")
@pytest.mark.parametrize(
    "elsewhere",
    [
        "https://elsewhere.example/",
        "//elsewhere.example",
        "/portal/\\elsewhere",
        "/api/docs",
        "/portal/\r\nX: 1",
    ],
)
def test_signing_in_leads_to_no_other_place(anonymous: FlaskClient, elsewhere: str) -> None:
    answer = sign_in(anonymous, "admin", ADMIN_PASSWORD, **{"as": "staff", "next": elsewhere})
    assert answer.location == "/portal/staff"


def test_a_login_that_has_ended_is_no_dead_end(anonymous: FlaskClient) -> None:
    anonymous.set_cookie("session", "of yesterday")
    page = anonymous.get("/portal/scans", follow_redirects=True)
    assert (page.status_code, page.request.path) == (200, "/portal/sign-in")
    assert anonymous.get_cookie("session") is None


def test_the_language_is_the_browsers_until_one_is_chosen(anonymous: FlaskClient) -> None:
    german = anonymous.get("/portal/sign-in", headers=GERMAN)
    assert '<html lang="de">' in german.text
    assert "<h1>Anmelden</h1>" in german.text
    assert '<html lang="en">' in anonymous.get("/portal/sign-in", headers={"Accept-Language": "fr"}).text
    answer = post(anonymous, "/portal/language", language="de", next="/portal/sign-in?as=staff")
    assert answer.location == "/portal/sign-in?as=staff"
    assert "<h1>Anmelden</h1>" in anonymous.get("/portal/sign-in").text
    post(anonymous, "/portal/language", language="nonsense")
    assert "<h1>Anmelden</h1>" in anonymous.get("/portal/sign-in").text
    post(anonymous, "/portal/language", language="en")
    assert "<h1>Sign in</h1>" in anonymous.get("/portal/sign-in", headers=GERMAN).text
