"""Postgres takes no writes for a while, as when another machine takes over from it."""

from sqlalchemy import Connection, event
from sqlalchemy.orm import Session, sessionmaker

from shared import accounts
from shared.services import Services
from tests.integration.conftest import ADMIN_PASSWORD, client_of


def _refuse_writes(connection: Connection) -> None:
    connection.exec_driver_sql("SET TRANSACTION READ ONLY")


def test_clients_are_told_to_try_again(services: Services, sessions: sessionmaker[Session]) -> None:
    with sessions.begin() as session:
        accounts.add_admin(session, "admin", None, ADMIN_PASSWORD)
    client = client_of(services, use_cookies=True)
    engine = services.sessions.kw["bind"]
    event.listen(engine, "begin", _refuse_writes)
    try:
        login = {"username": "admin", "password": ADMIN_PASSWORD}
        answer = client.post("/api/admin/login", json=login)
    finally:
        event.remove(engine, "begin", _refuse_writes)
    assert answer.status_code == 503
    assert answer.json is not None
    assert answer.json["code"] == "SERVICE_UNAVAILABLE"
