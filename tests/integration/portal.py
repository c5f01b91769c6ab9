"""How the tests use the pages: as a browser that keeps cookies and runs no script."""

import io
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from shared import accounts
from shared.accounts import PatientFacts
from shared.services import Services
from tests.fakes import picture
from tests.integration.conftest import client_of

ORIGIN = {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}  # as browsers send it with our forms
GERMAN = {"Accept-Language": "de-AT,de;q=0.9,en;q=0.1"}


@dataclass(frozen=True)
class Visitor:
    """A patient's browser, signed in."""

    id: int
    client: FlaskClient

    def get(self, address: str, **options: Any) -> TestResponse:
        return self.client.get(address, **options)

    def post(self, address: str, **fields: str) -> TestResponse:
        return post(self.client, address, **fields)


def post(client: FlaskClient, address: str, **fields: str) -> TestResponse:
    """Send a form as a browser does from our own pages."""
    return client.post(address, data=fields, headers=ORIGIN)


def sign_in(client: FlaskClient, username: str, password: str, **fields: str) -> TestResponse:
    return post(client, "/portal/sign-in", username=username, password=password, **fields)


def visitor(services: Services, name: str, has_generated_password: bool = False) -> Visitor:
    """A new patient whose browser is signed in."""
    with services.sessions.begin() as session:
        patient, credentials = accounts.create_patient(
            session, PatientFacts(name, f"{name.lower()}@example.org")
        )
        patient.has_generated_password = has_generated_password
        number = patient.id
    client = client_of(services, use_cookies=True)
    assert sign_in(client, credentials.username, credentials.password).status_code == 303
    return Visitor(number, client)


def upload(admin: FlaskClient, patient_id: int, name: str = "slice.png", brightness: int = 128) -> None:
    form = {"patient_id": str(patient_id), "files": [(io.BytesIO(picture(brightness)), name)]}
    assert admin.post("/api/admin/scans/upload", data=form).status_code == 202


class Outline(HTMLParser):
    """What a page is made of: every tag with its attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]
