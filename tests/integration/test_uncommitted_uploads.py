"""Uploads whose rows do not come to be, and uploads of which nobody knows whether theirs did."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from flask.testing import FlaskClient
from pydantic import SecretStr
from sqlalchemy import Connection, event
from werkzeug.test import TestResponse

from shared.database import make_engine, make_sessions
from shared.services import Services
from stack.ports import LOOPBACK
from stack.postgres import Cluster
from tests.faults.proxy import FaultProxy
from tests.integration.sending import as_, rows_of, send, stored


@pytest.fixture
def proxy(postgres: Cluster) -> Iterator[FaultProxy]:
    with FaultProxy(postgres.port) as running:
        yield running


@pytest.fixture
def behind_proxy(services: Services, postgres: Cluster, proxy: FaultProxy) -> Iterator[Services]:
    url = postgres.url.replace(f":{postgres.port}/", f":{proxy.port}/")
    assert LOOPBACK in url
    engine = make_engine(services.settings.model_copy(update={"database_url": SecretStr(url)}))
    yield replace(services, sessions=make_sessions(engine))
    engine.dispose()


@contextmanager
def read_only(services: Services) -> Iterator[None]:
    def refuse_writes(connection: Connection) -> None:
        connection.exec_driver_sql("SET TRANSACTION READ ONLY")

    engine = services.sessions.kw["bind"]
    event.listen(engine, "begin", refuse_writes)
    try:
        yield
    finally:
        event.remove(engine, "begin", refuse_writes)


def is_unavailable(answer: TestResponse) -> bool:
    assert answer.json is not None
    return (answer.status_code, answer.json["code"]) == (503, "SERVICE_UNAVAILABLE")


def test_uploads_leave_nothing_behind_while_postgres_takes_no_writes(
    admin: FlaskClient, patient_id: int, services: Services
) -> None:
    with read_only(services):
        assert is_unavailable(send(admin, patient_id))
        assert is_unavailable(send(admin, patient_id))
    assert stored(services) == []
    assert send(admin, patient_id).status_code == 202
    assert len(stored(services)) == 1


def test_an_upload_leaves_nothing_behind_when_postgres_goes_before_its_rows_are_committed(
    admin: FlaskClient, patient_id: int, services: Services, behind_proxy: Services, proxy: FaultProxy
) -> None:
    proxy.drop_replies_to(b"INSERT INTO scans")
    assert is_unavailable(send(as_(admin, behind_proxy), patient_id))
    assert proxy.replies_dropped == 1
    assert rows_of(services) == (0, 0)
    assert stored(services) == []


def test_originals_stay_when_only_the_answer_to_the_commit_is_lost(
    admin: FlaskClient, patient_id: int, services: Services, behind_proxy: Services, proxy: FaultProxy
) -> None:
    proxy.drop_replies_to(b"COMMIT")
    assert is_unavailable(send(as_(admin, behind_proxy), patient_id))
    assert proxy.replies_dropped == 1
    assert rows_of(services) == (1, 1)
    assert len(stored(services)) == 1
