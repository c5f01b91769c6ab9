"""The application over a real database, with the queue and the model under the test's control."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher
from flask.testing import FlaskClient
from sqlalchemy.orm import Session, sessionmaker
from werkzeug.test import TestResponse

from api import create_app
from shared import accounts, passwords
from shared.accounts import PatientFacts
from shared.models import AdminRole
from shared.services import Services, build_services
from shared.settings import Settings
from shared.storage import LocalStore
from stack.ports import free_port
from stack.redis_server import RedisServer
from tests.described import check_described
from tests.fakes import PROVENANCE, FailingStore, MadeUpModel, RecordingQueue
from worker.pipeline import LoadedModel, ScanPipeline
from worker.rendering import ReportRenderer

ADMIN_PASSWORD = "correct horse battery"
SECRET = "a secret key that only the tests use"


@pytest.fixture(autouse=True, scope="session")
def cheap_passwords() -> Iterator[None]:
    """Every test signs in, and a hash takes a third of a second and 64 MiB on purpose."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "_HASHER", PasswordHasher(time_cost=1, memory_cost=1024))
        yield


class CheckedClient(FlaskClient):
    """Reads every answer whole, so that streamed files are closed, and holds it against its description."""

    def open(self, *args: Any, **kwargs: Any) -> TestResponse:
        answer = super().open(*args, **{"buffered": True, **kwargs})
        check_described(self.application, answer)
        return answer


def client_of(services: Services, use_cookies: bool) -> FlaskClient:
    app = create_app(services)
    app.test_client_class = CheckedClient
    return app.test_client(use_cookies=use_cookies)


def bearer(services: Services, url: str, username: str, password: str) -> FlaskClient:
    """A client that sends the bearer token of this login and no cookie."""
    client = client_of(services, use_cookies=False)
    answer = client.post(url, json={"username": username, "password": password})
    assert answer.status_code == 200, answer.json
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {answer.json['token']}"
    return client


@pytest.fixture
def queue() -> RecordingQueue:
    return RecordingQueue()


@pytest.fixture
def images(settings: Settings) -> FailingStore:
    return FailingStore(settings.image_folder, "images", SECRET, settings.link_seconds)


@pytest.fixture
def services(
    settings: Settings, sessions: sessionmaker[Session], images: FailingStore, queue: RecordingQueue
) -> Services:
    reports = LocalStore(settings.report_folder, "reports", SECRET, settings.link_seconds)
    return Services(settings, sessions, images, reports, queue)


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis that the test may stop."""
    server = RedisServer(tmp_path / "redis", free_port())
    server.prepare()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def real_settings(settings: Settings, own_redis: RedisServer) -> Settings:
    return settings.model_copy(update={"redis_url": type(settings.redis_url)(own_redis.url)})


@pytest.fixture
def real_services(real_settings: Settings, sessions: sessionmaker[Session]) -> Iterator[Services]:  # noqa: ARG001
    built = build_services(real_settings)
    yield built
    built.sessions.kw["bind"].dispose()


@pytest.fixture
def patient(real_services: Services) -> int:
    with real_services.sessions.begin() as session:
        accounts.add_admin(session, "admin", None, ADMIN_PASSWORD)
        return accounts.create_patient(session, PatientFacts("Ada", "ada@example.org"))[0].id


@pytest.fixture
def model() -> MadeUpModel:
    return MadeUpModel()


@pytest.fixture
def pipeline(services: Services, model: MadeUpModel) -> Iterator[ScanPipeline]:
    built = ScanPipeline(services, LoadedModel(model, 64, PROVENANCE))
    yield built
    built.close()


@pytest.fixture
def renderer(services: Services) -> Iterator[ReportRenderer]:
    built = ReportRenderer(services)
    yield built
    built.close()


@pytest.fixture
def anonymous(services: Services) -> FlaskClient:
    return client_of(services, use_cookies=True)


@pytest.fixture
def admin(services: Services) -> FlaskClient:
    """A client of an admin."""
    with services.sessions.begin() as session:
        accounts.add_admin(session, "admin", "admin@example.org", ADMIN_PASSWORD)
    return bearer(services, "/api/admin/login", "admin", ADMIN_PASSWORD)


@pytest.fixture
def reader(services: Services) -> FlaskClient:
    """A client of somebody of the staff who may change nothing but add reviews."""
    with services.sessions.begin() as session:
        accounts.add_admin(session, "reader", None, ADMIN_PASSWORD, AdminRole.READER)
    return bearer(services, "/api/admin/login", "reader", ADMIN_PASSWORD)


@pytest.fixture
def patient_id(admin: FlaskClient) -> int:
    answer = admin.post("/api/admin/patients", json={"name": "Ada Example", "email": "ada@example.org"})
    assert answer.status_code == 201
    return int(answer.json["data"]["id"])
