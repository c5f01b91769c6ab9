"""A login opens what it was made for, as long as it lasts, and nothing that looks like it opens anything."""

import base64
import json

from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from shared.models import Login
from shared.services import Services
from tests.integration.conftest import client_of
from tests.integration.sending import new_patient


def token_of(client: FlaskClient) -> str:
    return str(client.environ_base["HTTP_AUTHORIZATION"]).removeprefix("Bearer ")


def jwt(header: dict[str, object], payload: dict[str, object], signature: str = "") -> str:
    parts = [
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()
        for part in (header, payload)
    ]
    return ".".join([*parts, signature])


def test_a_changed_token_opens_nothing(
    services: Services, admin: FlaskClient, sessions: sessionmaker[Session]
) -> None:
    token, nobody = token_of(admin), client_of(services, use_cookies=False)
    with sessions() as session:
        kept = session.execute(select(Login.token_sha256)).scalars().first()
    claims = {"sub": "admin", "role": "admin", "id": 1, "exp": 9_999_999_999}
    forged = [
        token[:-1],
        token + "A",
        token[1:],
        token.swapcase(),
        token.upper(),
        token[::-1],
        token + "\x00",
        token + "%00",
        f"{token},{token}",
        str(kept),
        "admin",
        "admin:1",
        "1",
        "None",
        "' OR '1'='1",
        *(jwt({"alg": alg, "typ": "JWT"}, claims) for alg in ("none", "None", "NONE", "nOnE", "", "HS256")),
        jwt({"alg": "HS256", "kid": "../../dev/null"}, claims, "AAAA"),
        jwt({"alg": "none"}, claims, token),
    ]
    for text in forged:
        for headers in ({"Authorization": f"Bearer {text}"}, {"Cookie": f"session={text}"}):
            assert nobody.get("/api/account", headers=headers).status_code == 401, text[:40]
    for scheme in ("Basic", "Token", "Digest", "", "Bearer Bearer"):
        assert nobody.get("/api/account", headers={"Authorization": f"{scheme} {token}"}).status_code == 401
    assert nobody.get("/api/account", query_string={"token": token, "session": token}).status_code == 401
    assert nobody.get("/api/account", headers={"Authorization": f"Bearer {token}"}).status_code == 200


def test_a_wrong_header_is_not_saved_by_a_right_cookie(browser: FlaskClient) -> None:
    """Else a page could skip the check of who sends with any header at all."""
    headers = {"Authorization": "Bearer wrong", "Origin": "https://evil.example"}
    assert browser.post("/api/batches", json={}, headers=headers).status_code == 401
    for scheme in ("Basic YTpi", "Bearer", "Bearer ", "bearer\t"):
        headers = {"Authorization": scheme, "Origin": "https://evil.example"}
        assert browser.post("/api/batches", json={}, headers=headers).status_code in (401, 403), scheme


def test_a_patients_token_is_no_admins_whatever_is_said_beside_it(services: Services) -> None:
    own, patient = new_patient(services)
    claims = {"X-Role": "admin", "X-User": "admin", "X-Forwarded-User": "admin", "X-Admin": "true"}
    for headers in ({}, claims, {"X-Original-URL": "/api/health"}, {"X-HTTP-Method-Override": "GET"}):
        assert patient.get("/api/admin/patients", headers=headers).status_code == 403
        assert patient.post("/api/batches", json={"role": "admin"}, headers=headers).status_code == 403
    assert patient.get(f"/api/patient/{own}").status_code == 200


def test_a_token_dies_with_its_logout_everywhere(services: Services, admin: FlaskClient) -> None:
    token, nobody = token_of(admin), client_of(services, use_cookies=False)
    assert admin.post("/api/account/logout", json={}).status_code == 200
    for headers in ({"Authorization": f"Bearer {token}"}, {"Cookie": f"session={token}"}):
        assert nobody.get("/api/account", headers=headers).status_code == 401
