"""Sessions outlive the server's restarts."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from shared import database
from shared.database import make_engine
from shared.settings import Settings
from stack.ports import free_port
from stack.postgres import Cluster

CONNECTIONS = 4


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


def test_connections_that_rested_through_a_restart_are_made_anew(
    own_settings: Settings, own_postgres: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = make_engine(own_settings)

    def ask_all() -> list[int]:
        opened = [engine.connect() for _ in range(CONNECTIONS)]
        answers = [connection.execute(text("SELECT 1")).scalar_one() for connection in opened]
        for connection in opened:
            connection.close()
        return answers

    assert ask_all() == [1] * CONNECTIONS
    own_postgres.stop()
    own_postgres.start()
    time.sleep(database.RESTED_S)
    assert ask_all() == [1] * CONNECTIONS
    own_postgres.stop()
    own_postgres.start()
    # Without trying out what rested, the same restart is felt: so the line above says something.
    monkeypatch.setattr(database, "RESTED_S", 3600.0)
    with pytest.raises(OperationalError):
        ask_all()
    engine.dispose()
