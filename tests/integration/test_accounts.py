"""Logins: opening, throttling, expiry, revocation, passwords old and new."""

import dataclasses
import hashlib
import time
from datetime import timedelta
from threading import Thread

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session, sessionmaker

from shared import accounts
from shared.accounts import Credentials, PatientFacts
from shared.models import Admin, Login, LoginFailure, Patient
from shared.services import Services
from tests.integration.conftest import ADMIN_PASSWORD, bearer, client_of

ADMIN_LOGIN = "/api/admin/login"
PATIENT_LOGIN = "/api/patient/login"


@pytest.fixture
def patient(services: Services) -> tuple[int, Credentials]:
    with services.sessions.begin() as session:
        made, credentials = accounts.create_patient(session, PatientFacts("Ada", "ada@example.org"))
    return made.id, credentials


def patient_client(services: Services, credentials: Credentials) -> FlaskClient:
    return bearer(services, PATIENT_LOGIN, credentials.username, credentials.password)


def with_settings(services: Services, **changes: object) -> Services:
    return dataclasses.replace(services, settings=services.settings.model_copy(update=changes))


def test_a_patient_signs_in_with_the_credentials_that_were_shown(
    admin: FlaskClient, services: Services
) -> None:
    made = admin.post("/api/admin/patients", json={"name": "Ada", "email": "ada@example.org"}).json["data"]
    client = client_of(services, use_cookies=True)
    answer = client.post(
        PATIENT_LOGIN, json={"username": made["username"], "password": made["password"]}
    ).json
    assert answer["data"] == {
        "id": made["id"],
        "name": "Ada",
        "patient_id": made["patient_id"],
        "email": "ada@example.org",
    }
    assert (answer["role"], answer["has_generated_password"]) == ("patient", True)
    assert client.get(f"/api/patient/{made['id']}").json["data"]["name"] == "Ada"  # by cookie


@pytest.mark.parametrize("url", [ADMIN_LOGIN, PATIENT_LOGIN])
@pytest.mark.parametrize("body", [{}, {"username": "x"}, {"password": "x"}, {"username": "", "password": ""}])
def test_missing_credentials_are_asked_for(anonymous: FlaskClient, url: str, body: dict[str, str]) -> None:
    answer = anonymous.post(url, json=body)
    assert (answer.status_code, answer.json["error"]) == (400, "Username and password are required")


@pytest.mark.usefixtures("admin")
def test_wrong_credentials_are_told_alike_whoever_they_are_for(
    anonymous: FlaskClient, patient: tuple[int, Credentials]
) -> None:
    for url, username in (
        (ADMIN_LOGIN, "admin"),
        (ADMIN_LOGIN, "nobody"),
        (PATIENT_LOGIN, patient[1].username),
    ):
        answer = anonymous.post(url, json={"username": username, "password": "wrong"})
        assert (answer.status_code, answer.json["error"]) == (401, "Invalid credentials")
    # A patient's login opens nothing as admin, and the other way round.
    body = {"username": patient[1].username, "password": patient[1].password}
    assert anonymous.post(ADMIN_LOGIN, json=body).status_code == 401


@pytest.mark.usefixtures("admin")
def test_an_unknown_user_takes_as_long_as_a_wrong_password(services: Services) -> None:
    client = client_of(with_settings(services, login_failures_per_address=1000), use_cookies=False)

    def seconds(username: str) -> float:
        began = time.perf_counter()
        client.post(ADMIN_LOGIN, json={"username": username, "password": "wrong"})
        return time.perf_counter() - began

    pairs = [(seconds("admin"), seconds("nobody")) for _ in range(9)]
    known, unknown = (min(times) for times in zip(*pairs, strict=True))  # other work only ever adds
    assert abs(known - unknown) / known < 0.5  # without the dummy it is 0.98


@pytest.mark.usefixtures("admin")
def test_ten_wrong_passwords_close_the_account_for_a_while_even_for_the_right_one(
    services: Services, sessions: sessionmaker[Session], anonymous: FlaskClient
) -> None:
    wrong = {"username": "admin", "password": "wrong"}
    assert [anonymous.post(ADMIN_LOGIN, json=wrong).status_code for _ in range(11)] == [401] * 10 + [429]
    right = {"username": "admin", "password": ADMIN_PASSWORD}
    blocked = anonymous.post(ADMIN_LOGIN, json=right)
    assert (blocked.status_code, blocked.json["code"]) == (429, "RATE_LIMITED")
    assert 0 < int(blocked.headers["Retry-After"]) <= services.settings.login_window_seconds
    with sessions.begin() as session:  # as if the window had passed
        session.execute(update(LoginFailure).values(at=func.now() - timedelta(hours=1)))
    assert anonymous.post(ADMIN_LOGIN, json=right).status_code == 200


@pytest.mark.usefixtures("admin")
def test_a_right_password_makes_the_wrong_ones_before_it_forgotten(anonymous: FlaskClient) -> None:
    for _ in range(2):
        for _ in range(9):
            anonymous.post(ADMIN_LOGIN, json={"username": "admin", "password": "wrong"})
        right = anonymous.post(ADMIN_LOGIN, json={"username": "admin", "password": ADMIN_PASSWORD})
        assert right.status_code == 200


def test_one_address_cannot_try_many_accounts(services: Services) -> None:
    client = client_of(with_settings(services, login_failures_per_address=3), use_cookies=False)
    tries = [client.post(ADMIN_LOGIN, json={"username": f"u{n}", "password": "x"}) for n in range(4)]
    assert [answer.status_code for answer in tries] == [401, 401, 401, 429]
    elsewhere = client.post(
        ADMIN_LOGIN, json={"username": "u9", "password": "x"}, environ_base={"REMOTE_ADDR": "10.9.8.7"}
    )
    assert elsewhere.status_code == 401


def test_a_forwarded_address_counts_only_behind_a_trusted_proxy(services: Services) -> None:
    for proxies, expected in ((0, [401, 401, 401, 429]), (1, [401] * 4)):
        changed = with_settings(services, login_failures_per_address=3, trusted_proxies=proxies)
        client = client_of(changed, use_cookies=False)
        statuses = [
            client.post(
                ADMIN_LOGIN,
                json={"username": f"{proxies}-{n}", "password": "x"},
                headers={"X-Forwarded-For": f"203.0.113.{n}"},
            ).status_code
            for n in range(4)
        ]
        assert statuses == expected


@pytest.mark.usefixtures("admin")
def test_guesses_at_the_same_moment_are_all_counted(services: Services) -> None:
    statuses: list[int] = []
    # Not in the threads: Python 3.11 counts how deep it parses for all of them at once, and raises by chance.
    clients = [client_of(services, use_cookies=False) for _ in range(5)]

    def guess(client: FlaskClient) -> None:
        wrong = {"username": "admin", "password": "wrong"}
        statuses.extend(client.post(ADMIN_LOGIN, json=wrong).status_code for _ in range(4))

    threads = [Thread(target=guess, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [401] * 10 + [429] * 10


def test_a_login_ends_when_it_expires(admin: FlaskClient, sessions: sessionmaker[Session]) -> None:
    assert admin.get("/api/account").status_code == 200
    with sessions.begin() as session:
        session.execute(update(Login).values(expires_at=func.now() - timedelta(seconds=1)))
    assert admin.get("/api/account").status_code == 401


def test_signing_out_ends_this_login_and_clears_the_cookie(services: Services, admin: FlaskClient) -> None:
    browser = client_of(services, use_cookies=True)
    browser.post(ADMIN_LOGIN, json={"username": "admin", "password": ADMIN_PASSWORD})
    answer = browser.post("/api/account/logout", json={})
    assert (answer.status_code, answer.json["data"]) == (200, {"ended_logins": 1})
    assert browser.get_cookie("session") is None
    assert browser.get("/api/account").status_code == 401
    assert admin.get("/api/account").status_code == 200  # another login of the same account


def test_signing_out_everywhere_ends_all_logins_of_the_account_only(
    services: Services, admin: FlaskClient, reader: FlaskClient
) -> None:
    other = bearer(services, ADMIN_LOGIN, "admin", ADMIN_PASSWORD)
    assert other.post("/api/account/logout", json={"everywhere": True}).json["data"]["ended_logins"] == 2
    assert admin.get("/api/account").status_code == 401
    assert reader.get("/api/account").status_code == 200


def test_a_changed_password_ends_the_other_logins(
    services: Services, patient: tuple[int, Credentials]
) -> None:
    mine, stolen = (patient_client(services, patient[1]) for _ in range(2))
    body = {"current_password": patient[1].password, "new_password": "a better password"}
    assert mine.post("/api/account/password", json=body).json["data"] == {"ended_logins": 1}
    assert (mine.get("/api/account").status_code, stolen.get("/api/account").status_code) == (200, 401)
    assert mine.get("/api/account").json["data"]["has_generated_password"] is False
    again = bearer(services, PATIENT_LOGIN, patient[1].username, "a better password")
    assert again.get("/api/account").json["data"]["role"] == "patient"


@pytest.mark.parametrize(
    ("current", "new", "field"),
    [
        ("wrong", "a better password", "current_password"),
        (ADMIN_PASSWORD, "short", "new_password"),
        (ADMIN_PASSWORD, ADMIN_PASSWORD, "new_password"),
    ],
)
def test_a_password_that_will_not_do_is_refused(
    admin: FlaskClient, current: str, new: str, field: str
) -> None:
    answer = admin.post("/api/account/password", json={"current_password": current, "new_password": new})
    assert (answer.status_code, answer.json["field"]) == (400, field)
    assert new not in answer.text


def test_a_reset_password_is_shown_once_and_ends_the_patients_logins(
    services: Services, admin: FlaskClient, patient: tuple[int, Credentials]
) -> None:
    client = patient_client(services, patient[1])
    made = admin.post(f"/api/admin/patients/{patient[0]}/reset-password").json["data"]
    assert made["password"] != patient[1].password
    assert client.get("/api/account").status_code == 401
    bearer(services, PATIENT_LOGIN, made["username"], made["password"])


def test_an_old_hash_logs_in_once_and_is_made_new(
    services: Services, admin: FlaskClient, sessions: sessionmaker[Session]
) -> None:
    old = hashlib.sha256(b"a password of old").hexdigest()
    with sessions.begin() as session:
        session.execute(update(Admin).values(password_hash=old))
    bearer(services, ADMIN_LOGIN, "admin", "a password of old")
    with sessions() as session:
        assert session.scalar(select(Admin.password_hash)).startswith("$argon2id$")
    bearer(services, ADMIN_LOGIN, "admin", "a password of old")
    assert admin.get("/api/account").status_code == 200


def test_the_replaced_systems_default_password_opens_nothing(
    services: Services, anonymous: FlaskClient, sessions: sessionmaker[Session]
) -> None:
    with sessions.begin() as session:
        old = hashlib.sha256(b"admin").hexdigest()
        session.add(Admin(username="admin", password_hash=old))
    body = {"username": "admin", "password": "admin"}
    assert anonymous.post(ADMIN_LOGIN, json=body).status_code == 401
    development = client_of(with_settings(services, development_admin=True), use_cookies=False)
    assert development.post(ADMIN_LOGIN, json=body).status_code == 200


@pytest.mark.parametrize("token", ["", "x", "null", "eyJhbGciOiJub25lIn0.e30.", "\ud800", "a" * 5000])
def test_forged_tokens_open_nothing(services: Services, token: str) -> None:
    client = client_of(services, use_cookies=False)
    header = {"Authorization": f"Bearer {token}".encode("utf-8", "surrogatepass").decode("latin-1")}
    assert client.get("/api/account", headers=header).status_code == 401


def test_only_hashes_of_tokens_and_passwords_are_kept(
    services: Services, admin: FlaskClient, patient: tuple[int, Credentials]
) -> None:
    token = admin.environ_base["HTTP_AUTHORIZATION"].removeprefix("Bearer ")
    with services.sessions() as session:
        kept = [
            *session.scalars(select(Login.token_sha256)),
            *session.scalars(select(Admin.password_hash)),
            *session.scalars(select(Patient.password_hash)),
        ]
    assert kept
    assert not [
        value for value in kept for clear in (token, ADMIN_PASSWORD, patient[1].password) if clear in value
    ]


def test_patients_can_be_corrected_but_not_into_each_other(
    admin: FlaskClient, patient: tuple[int, Credentials]
) -> None:
    url = f"/api/admin/patients/{patient[0]}"
    changed = admin.put(url, json={"name": "Ada B", "email": "ada.b@example.org", "age": "44"}).json["data"]
    assert (changed["name"], changed["email"], changed["age"]) == ("Ada B", "ada.b@example.org", 44)
    assert admin.get(url).json["data"] == changed
    admin.post("/api/admin/patients", json={"name": "C", "email": "c@example.org"})
    taken = admin.put(url, json={"name": "Ada B", "email": "c@example.org"})
    assert (taken.status_code, taken.json["code"]) == (409, "CONFLICT_ERROR")
    assert admin.put("/api/admin/patients/999", json={"name": "x", "email": "x@y.zz"}).status_code == 404


def test_extra_fields_change_nothing(admin: FlaskClient, sessions: sessionmaker[Session]) -> None:
    body = {
        "name": "M",
        "email": "m@example.org",
        "id": 77,
        "patient_id": "P1",
        "password_hash": "x",
        "role": "admin",
    }
    made = admin.post("/api/admin/patients", json=body).json["data"]
    assert made["id"] != 77
    with sessions() as session:
        assert session.get(Patient, made["id"]).password_hash.startswith("$argon2id$")
