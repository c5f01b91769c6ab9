"""What every answer keeps to: who may ask, the error shape, CORS, CSRF, headers."""

import io
from datetime import timedelta

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, update
from sqlalchemy.orm import Session, sessionmaker

from shared import heartbeat
from shared.models import Login, Worker
from shared.services import Services
from tests.fakes import RecordingQueue, picture
from tests.integration.conftest import ADMIN_PASSWORD, client_of

ALLOWED = "http://localhost:3000"
FOREIGN = "https://evil.example"


def signed_in_browser(services: Services) -> FlaskClient:
    browser = client_of(services, use_cookies=True)
    answer = browser.post("/api/admin/login", json={"username": "admin", "password": ADMIN_PASSWORD})
    assert answer.status_code == 200
    return browser


def test_health_answers_with_everything_down(services: Services) -> None:
    answer = client_of(services, use_cookies=False).get("/api/health")
    assert answer.json["status"] == "healthy"
    assert answer.json["message"] == "Brain Tumor Detection API is running"


def test_ready_names_what_is_down(anonymous: FlaskClient, queue: RecordingQueue) -> None:
    queue.up = False
    answer = anonymous.get("/api/ready")
    assert (answer.status_code, answer.json["code"]) == (503, "SERVICE_UNAVAILABLE")
    assert answer.json["details"]["checks"] == {
        "database": True,
        "broker": False,
        "image_store": True,
        "report_store": True,
        "scan_worker": False,
        "report_worker": False,
    }
    assert answer.headers["Retry-After"]


def test_ready_names_the_engines_of_living_workers(
    anonymous: FlaskClient, sessions: sessionmaker[Session]
) -> None:
    with sessions.begin() as session:
        heartbeat.beat(session, "report@here:1", "report", "cpu", None)
        heartbeat.beat(session, "scan@here:2", "scan", heartbeat.computing("cpu", "openvino-int8"), "model 1")
        heartbeat.beat(session, "scan@there:3", "scan", heartbeat.computing("cuda", "torch"), "model 1")
        heartbeat.beat(session, "scan@older:4", "scan", "cpu", "model 1")
        heartbeat.beat(session, "scan@gone:5", "scan", heartbeat.computing("cpu", "openvino"), "model 1")
        session.execute(
            update(Worker)
            .where(Worker.name == "scan@gone:5")
            .values(last_seen_at=func.now() - timedelta(minutes=5))
        )
    answer = anonymous.get("/api/ready")
    assert answer.status_code == 200
    assert answer.json["data"]["engines"] == ["openvino-int8", "torch"]


@pytest.mark.usefixtures("admin")
def test_login_says_the_contracts_words(anonymous: FlaskClient) -> None:
    missing = anonymous.post("/api/admin/login", json={"username": "admin"})
    assert (missing.status_code, missing.json["error"]) == (400, "Username and password are required")
    for wrong in ({"username": "admin", "password": "x"}, {"username": "nobody", "password": "x"}):
        answer = anonymous.post("/api/admin/login", json=wrong)
        assert (answer.status_code, answer.json["error"]) == (401, "Invalid credentials")
        assert answer.json["code"] == "AUTHENTICATION_ERROR"


@pytest.mark.usefixtures("admin")
def test_login_gives_a_cookie_out_of_scripts_reach_and_a_token(services: Services) -> None:
    browser = client_of(services, use_cookies=True)
    answer = browser.post("/api/admin/login", json={"username": "admin", "password": ADMIN_PASSWORD})
    assert set(answer.json["data"]) == {"id", "username", "email"}
    assert answer.json["token"]
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert browser.get("/api/admin/patients").status_code == 200


def test_an_expired_login_is_refused(admin: FlaskClient, sessions: sessionmaker[Session]) -> None:
    assert admin.get("/api/admin/patients").status_code == 200
    with sessions.begin() as session:
        session.execute(update(Login).values(expires_at=func.now()))
    assert admin.get("/api/admin/patients").status_code == 401


@pytest.mark.usefixtures("admin")
def test_cookie_writes_are_taken_from_our_pages_only(services: Services) -> None:
    browser = signed_in_browser(services)
    body = {"name": "B", "email": "b@example.org"}
    refused = [
        {"Origin": FOREIGN},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Origin": ALLOWED + ".evil"},
    ]
    for headers in refused:
        answer = browser.post("/api/admin/patients", json=body, headers=headers)
        assert (answer.status_code, answer.json["code"]) == (403, "AUTHORIZATION_ERROR"), headers
    answer = browser.post(
        "/api/admin/patients", json=body, headers={"Origin": ALLOWED, "Sec-Fetch-Site": "same-site"}
    )
    assert answer.status_code == 201


def test_cors_answers_known_origins_also_on_errors(anonymous: FlaskClient) -> None:
    preflight = anonymous.options(
        "/api/admin/patients",
        headers={
            "Origin": ALLOWED,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "Prefer",
        },
    )
    assert preflight.headers["Access-Control-Allow-Origin"] == ALLOWED
    assert preflight.headers["Access-Control-Allow-Credentials"] == "true"
    assert "prefer" in preflight.headers["Access-Control-Allow-Headers"].lower()
    error = anonymous.get("/api/admin/patients", headers={"Origin": ALLOWED})
    assert (error.status_code, error.headers["Access-Control-Allow-Origin"]) == (401, ALLOWED)
    assert (
        "Access-Control-Allow-Origin" not in anonymous.get("/api/health", headers={"Origin": FOREIGN}).headers
    )


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "NOT_FOUND_ERROR"),
        ("DELETE", "/api/health", 405, "HTTP_405"),
        ("GET", "/api/admin/patients/99", 404, "NOT_FOUND_ERROR"),
        ("GET", "/api/admin/patients/99999999999999999999", 404, "NOT_FOUND_ERROR"),
        ("GET", "/api/scans/99/image", 404, "NOT_FOUND_ERROR"),
        ("GET", "/api/report/download/R99", 404, "NOT_FOUND_ERROR"),
        ("GET", "/api/report/file/..%2f..%2fetc%2fpasswd", 404, "NOT_FOUND_ERROR"),
        ("GET", "/api/report/file/x.txt", 404, "NOT_FOUND_ERROR"),
        ("GET", "/api/files/images/forged", 404, "NOT_FOUND_ERROR"),
    ],
)
def test_errors_have_one_shape(admin: FlaskClient, method: str, path: str, status: int, code: str) -> None:
    answer = admin.open(path, method=method, headers={"X-Request-ID": "abc-1"})
    assert (answer.status_code, answer.json["success"], answer.json["code"]) == (status, False, code)
    assert answer.json["error"]
    assert answer.headers["X-Request-ID"] == "abc-1"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"email": "a@b.de"}, "name"),
        ({"name": "A", "email": "nonsense"}, "email"),
        ({"name": "A\x00", "email": "a@b.de"}, "name"),
        ({"name": "A\r\nBcc: x", "email": "a@b.de"}, "name"),
        ({"name": "\ud800", "email": "a@b.de"}, "name"),
        ({"name": "A", "email": "a@b.de", "age": 151}, "age"),
        ({"name": "A", "email": "a@b.de", "age": {}}, "age"),
        ({"name": "A", "email": "a@b.de", "gender": "Else"}, "gender"),
        ({"name": "A", "email": "a@b.de", "phone": "12"}, "phone"),
        ({"name": ["A"], "email": "a@b.de"}, "name"),
    ],
)
def test_bad_patient_fields_are_named(admin: FlaskClient, body: dict[str, object], field: str) -> None:
    answer = admin.post("/api/admin/patients", json=body)
    assert (answer.status_code, answer.json["code"], answer.json["field"]) == (400, "VALIDATION_ERROR", field)


@pytest.mark.parametrize(
    "data", [b"", b"null", b"[]", b"[" * 100_000, b'{"name":', b"\xff\xfe", b'{"age": NaN}']
)
def test_broken_json_is_a_400(admin: FlaskClient, data: bytes) -> None:
    answer = admin.post("/api/admin/patients", data=data, content_type="application/json")
    assert (answer.status_code, answer.json["code"]) == (400, "VALIDATION_ERROR")


def test_empty_optional_fields_count_as_absent_and_the_password_is_shown_once(admin: FlaskClient) -> None:
    body = {"name": "Zoë Ω", "email": "zoe@example.org", "age": "", "gender": "", "phone": "", "address": ""}
    answer = admin.post("/api/admin/patients", json=body)
    assert answer.status_code == 201
    made = answer.json["data"]
    assert made["age"] is None
    assert made["patient_id"].startswith("P")
    assert len(made["password"]) >= 12
    again = admin.get(f"/api/admin/patients/{made['id']}").json["data"]
    assert not [key for key in again if "password" in key]
    assert again["created_at"].endswith("Z")
    assert admin.post("/api/admin/patients", json=body).status_code == 409


def test_uploads_without_patient_or_files_say_what_is_missing(admin: FlaskClient, patient_id: int) -> None:
    url = "/api/admin/scans/upload"
    file = lambda: (io.BytesIO(picture()), "a.png")  # noqa: E731
    assert admin.post(url, data={"files": [file()]}).json["field"] == "patient_id"
    assert admin.post(url, data={"files": [file()], "patient_id": "1e3"}).json["field"] == "patient_id"
    assert admin.post(url, data={"patient_id": str(patient_id)}).json["field"] == "files"
    assert admin.post(url, data={"files": [file()], "patient_id": "999"}).status_code == 404


def test_a_request_that_is_too_large_is_a_413(admin: FlaskClient, services: Services) -> None:
    answer = admin.post(
        "/api/admin/scans/upload",
        data=bytes(services.settings.max_content_length + 1),
        content_type="multipart/form-data; boundary=x",
    )
    assert (answer.status_code, answer.json["code"]) == (413, "PAYLOAD_TOO_LARGE")


def test_hostile_file_names_are_only_cleaned_display_text(admin: FlaskClient, patient_id: int) -> None:
    names = ["../../etc/passwd.png", "/x/y.png", "a\u202egnp.exe", "患者.png", "x" * 5000 + ".png"]
    files = [(io.BytesIO(picture()), name) for name in names]
    answer = admin.post("/api/admin/scans/upload", data={"patient_id": str(patient_id), "files": files})
    shown = [result["filename"] for result in answer.json["results"]]
    assert shown[:4] == ["passwd.png", "y.png", "agnp.exe", "患者.png"]
    assert len(shown[4]) == 255
