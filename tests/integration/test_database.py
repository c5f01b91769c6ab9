"""Connections outlive the server's restarts, and say whose they are."""

import signal
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

from shared import accounts, database
from shared.database import make_engine, make_sessions
from shared.maintenance import alone
from shared.migrations import upgrade
from shared.services import build_services
from shared.settings import Settings
from stack.ports import free_port
from stack.postgres import Cluster
from tests.faults.proxy import FaultProxy
from tests.integration.conftest import ADMIN_PASSWORD
from tests.servers.gunicorn import running_api

CONNECTIONS = 4
POLLERS = 8
PATIENCE_S = 30
LOCK, TRY_LOCK = text("SELECT pg_advisory_xact_lock(1)"), text("SELECT pg_try_advisory_xact_lock(1)")
CRASH, CLEAN_STOP = signal.SIGQUIT, signal.SIGINT  # to Postgres


@pytest.fixture
def own_postgres(tmp_path: Path) -> Iterator[Cluster]:
    """A Postgres that the test may stop."""
    cluster = Cluster(tmp_path / "postgres", free_port(), durable=False)
    cluster.prepare()
    cluster.start()
    yield cluster
    cluster.stop()
    cluster.remove()


@pytest.fixture
def own_settings(settings: Settings, own_postgres: Cluster) -> Settings:
    return settings.model_copy(update={"database_url": SecretStr(own_postgres.url)})


@pytest.fixture
def own_engine(own_settings: Settings) -> Iterator[Engine]:
    engine = make_engine(own_settings)
    yield engine
    engine.dispose()


def ask_all(engine: Engine) -> list[int]:
    opened = [engine.connect() for _ in range(CONNECTIONS)]
    answers = [connection.execute(text("SELECT 1")).scalar_one() for connection in opened]
    for connection in opened:
        connection.close()
    return answers


def restart(cluster: Cluster, how: signal.Signals) -> None:
    cluster.stop(how)
    cluster.start()


@pytest.mark.parametrize("how", [CLEAN_STOP, CRASH])
def test_connections_used_just_before_a_restart_are_made_anew(
    own_engine: Engine, own_postgres: Cluster, how: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "RESTED_S", 3600.0)  # none counts as rested, however slow this machine is
    assert ask_all(own_engine) == [1] * CONNECTIONS
    restart(own_postgres, how)
    assert ask_all(own_engine) == [1] * CONNECTIONS


def test_connections_that_rested_are_tried_out(
    own_engine: Engine, own_postgres: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        database, "_has_news", lambda _: False
    )  # as when the network lost them without a word
    assert ask_all(own_engine) == [1] * CONNECTIONS
    restart(own_postgres, CLEAN_STOP)
    time.sleep(database.RESTED_S)
    assert ask_all(own_engine) == [1] * CONNECTIONS
    restart(own_postgres, CLEAN_STOP)
    # Without trying out what rested, the same restart is felt: so the line above says something.
    monkeypatch.setattr(database, "RESTED_S", 3600.0)
    with pytest.raises(OperationalError):
        ask_all(own_engine)


def test_a_connection_in_use_is_not_asked_again_and_again(
    own_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "RESTED_S", 3600.0)
    ask_all(own_engine)
    asked: list[object] = []
    monkeypatch.setattr(own_engine.dialect, "do_ping", asked.append)
    assert ask_all(own_engine) == [1] * CONNECTIONS
    assert asked == []


def test_polls_fail_at_most_while_postgres_is_away(
    own_settings: Settings, own_engine: Engine, own_postgres: Cluster, tmp_path: Path
) -> None:
    upgrade(own_engine)
    with make_sessions(own_engine).begin() as session:
        accounts.add_admin(session, "admin", None, ADMIN_PASSWORD)
    with running_api(own_settings, tmp_path / "api.log", REQUESTS_PER_MINUTE="1000000") as url:
        polls = Polls(url)
        with polls:
            polls.wait_for_more()
        assert "api" in _names_of_connections(own_engine)
        restart(own_postgres, CLEAN_STOP)  # between two polls: neither process knows of it
        with polls:
            polls.wait_for_more()
        assert {status for _, status in polls.seen} == {404}
        with polls:
            polls.wait_for_more()
            restart(own_postgres, CLEAN_STOP)
            answers_again = time.monotonic()
            polls.wait_for_more()
    assert {status for began, status in polls.seen if began >= answers_again} == {404}


def test_what_a_silent_machine_has_locked_is_free_again(
    settings: Settings, postgres: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "IDLE_TRANSACTION_MS", 1000)
    here = make_engine(settings)
    with FaultProxy(postgres.port) as proxy, here.connect() as other:
        url = postgres.url.replace(f":{postgres.port}/", f":{proxy.port}/")
        there = make_engine(settings.model_copy(update={"database_url": SecretStr(url)}))
        silent = there.connect()
        silent.execute(LOCK)
        with proxy.hanging():
            assert not other.execute(TRY_LOCK).scalar_one(), "or there was nothing to free"
            began = time.monotonic()
            other.execute(LOCK)
            assert time.monotonic() - began < PATIENCE_S / 2
            other.rollback()
        with pytest.raises(OperationalError):
            silent.execute(text("SELECT 1"))
        silent.close()
        assert ask_all(there) == [1] * CONNECTIONS, "a machine that is back goes on"
        there.dispose()
    here.dispose()


def test_postgres_gives_up_connections_on_which_nobody_answers(settings: Settings) -> None:
    engine = make_engine(settings)
    query = text("SELECT name, setting FROM pg_settings WHERE name LIKE 'tcp_keepalives_%'")
    with engine.connect() as connection:
        found = {
            row.name.removeprefix("tcp_keepalives_"): int(row.setting) for row in connection.execute(query)
        }
    engine.dispose()
    silence = found["idle"] + found["interval"] * found["count"]
    assert 0 < found["idle"] < silence < database.IDLE_TRANSACTION_MS / 1000


def test_maintenance_may_look_into_a_store_for_as_long_as_that_takes(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "IDLE_TRANSACTION_MS", 200)
    services = build_services(settings)
    with alone(services) as session:
        session.execute(text("SELECT 1"))
        time.sleep(0.6)
        assert session.execute(text("SELECT 1")).scalar_one() == 1
    services.sessions.kw["bind"].dispose()


class Polls:
    """Threads that ask for a job that does not exist, without a pause, while the block lasts."""

    def __init__(self, url: str) -> None:
        self.seen: list[tuple[float, int]] = []  # when the request began, and how it was answered
        login = {"username": "admin", "password": ADMIN_PASSWORD}
        answer = httpx.post(f"{url}/api/admin/login", json=login, timeout=PATIENCE_S, trust_env=False)
        self._url, self._headers = url, {"Authorization": f"Bearer {answer.json()['token']}"}
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> None:
        self._stop.clear()
        self._threads = [threading.Thread(target=self._ask) for _ in range(POLLERS)]
        for thread in self._threads:
            thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def wait_for_more(self, number: int = 20 * POLLERS) -> None:
        """Return once so many more requests were answered."""
        wanted, deadline = len(self.seen) + number, time.monotonic() + PATIENCE_S
        while len(self.seen) < wanted:
            assert time.monotonic() < deadline, "the API does not answer polls"
            time.sleep(0.02)

    def _ask(self) -> None:
        with httpx.Client(
            base_url=self._url, headers=self._headers, timeout=PATIENCE_S, trust_env=False
        ) as http:
            while not self._stop.is_set():
                began = time.monotonic()
                self.seen.append((began, http.get(f"/api/jobs/{uuid.uuid4()}").status_code))


def test_connections_say_whose_they_are(settings: Settings) -> None:
    services = build_services(settings, "worker-scan")
    engine = services.sessions.kw["bind"]
    try:
        assert "worker-scan" in _names_of_connections(engine)
    finally:
        engine.dispose()


def test_the_name_that_the_address_gives_wins(settings: Settings) -> None:
    assert settings.database_url is not None
    address = f"{settings.database_url.get_secret_value()}?application_name=told"
    engine = make_engine(settings.model_copy(update={"database_url": SecretStr(address)}), "api")
    try:
        assert "told" in _names_of_connections(engine)
    finally:
        engine.dispose()


def _names_of_connections(engine: Engine) -> list[str]:
    question = text("SELECT application_name FROM pg_stat_activity WHERE datname = current_database()")
    with engine.connect() as connection:
        return list(connection.scalars(question))
