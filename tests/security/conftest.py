"""The application and its callers, as the integration tests have them."""

from dataclasses import replace

import pytest
from flask.testing import FlaskClient

from shared.services import Services
from tests.integration.conftest import (  # noqa: F401 - fixtures
    ADMIN_PASSWORD,
    admin,
    anonymous,
    cheap_passwords,
    client_of,
    images,
    model,
    patient_id,
    pipeline,
    queue,
    reader,
    renderer,
    services,
)
from tests.integration.test_access import callers, patients, world  # noqa: F401 - fixtures

PUBLIC_URL = "https://scans.example.org"


@pytest.fixture
def production(services: Services) -> Services:  # noqa: F811 - a fixture
    """The same services with the settings of production."""
    changed = {"flask_env": "production", "public_url": PUBLIC_URL}
    return replace(services, settings=services.settings.model_copy(update=changed))


@pytest.fixture
def browser(services: Services, admin: FlaskClient) -> FlaskClient:  # noqa: F811 - fixtures
    """A browser whose admin has signed in: it sends the cookie and no header."""
    del admin
    client = client_of(services, use_cookies=True)
    answer = client.post("/api/admin/login", json={"username": "admin", "password": ADMIN_PASSWORD})
    assert answer.status_code == 200
    return client
