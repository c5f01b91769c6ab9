"""The application and its callers, as the integration tests have them."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Engine

from shared.services import Services
from shared.settings import Settings
from stack.postgres import Cluster
from stack.redis_server import RedisServer
from tests.integration.conftest import (  # noqa: F401 - fixtures
    ADMIN_PASSWORD,
    SECRET,
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
from tests.security.polls import Asked, questions_of
from tests.servers.gunicorn import running_api

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


@pytest.fixture
def questions(admin: FlaskClient, services: Services) -> list[Asked]:  # noqa: F811 - fixtures
    return questions_of(admin, services)


@pytest.fixture(scope="session")
def own_settings(
    engine: Engine, postgres: Cluster, redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Settings:
    """Settings of a server that lives as long as all tests: with folders of its own."""
    del engine  # it makes the tables
    folder = tmp_path_factory.mktemp("stores")
    return Settings(
        _env_file=None,
        database_url=postgres.url,
        redis_url=redis_server.url,
        image_folder=folder / "images",
        report_folder=folder / "reports",
        secret_key=SECRET,
    )


@pytest.fixture(scope="session")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("gunicorn") / "api.log"


@pytest.fixture(scope="session")
def server(own_settings: Settings, log: Path) -> Iterator[str]:
    """The address of the API under gunicorn."""
    with running_api(own_settings, log, ANONYMOUS_REQUESTS_PER_MINUTE="100000") as url:
        yield url
