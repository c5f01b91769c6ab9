"""Real servers for every test that needs one: Postgres and Redis from the wheels, started once per run."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import structlog
from pydantic import SecretStr
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session, sessionmaker
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from shared.database import make_engine, make_sessions
from shared.migrations import upgrade
from shared.models import Base
from shared.settings import Settings
from stack.ports import free_port
from stack.postgres import Cluster
from stack.redis_server import RedisServer
from tests.servers.cloudinary import FakeCloudinary
from tests.servers.s3 import S3Server

if TYPE_CHECKING:
    from moto.server import ThreadedMotoServer

SECRET = "a secret key that only the tests use"


@pytest.hookimpl(optionalhook=True)  # as with `-p no:xdist`
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    """With several processes (`make test`) the tests of a file stay in one, and all that share a browser."""
    return _ByFile(config, log)


class _ByFile(LoadScopeScheduling):
    def _split_scope(self, nodeid: str) -> str:
        return "browser" if nodeid.startswith("tests/browser/") else nodeid.split("::", maxsplit=1)[0]


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    """Commands configure the process' logging; the next test gets it as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path_factory.mktemp("postgres"), free_port(), durable=False)
    cluster.prepare()
    cluster.start()
    yield cluster
    cluster.stop()
    cluster.remove()


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"), free_port(), durable=False)
    server.prepare()
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def engine(postgres: Cluster) -> Iterator[Engine]:
    built = make_engine(_settings(DATABASE_URL=postgres.url))
    upgrade(built)
    yield built
    built.dispose()


@pytest.fixture
def cloudinary_server() -> Iterator[FakeCloudinary]:
    with FakeCloudinary() as server:
        yield server


@pytest.fixture(scope="session")
def moto() -> "Iterator[ThreadedMotoServer]":
    from moto.server import ThreadedMotoServer  # slow, and few tests need it

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def s3_server(moto: "ThreadedMotoServer") -> Iterator[S3Server]:
    with S3Server(moto) as server:
        yield server


@pytest.fixture
def sessions(engine: Engine) -> sessionmaker[Session]:
    """Sessions over an empty database."""
    names = ", ".join(table.name for table in Base.metadata.sorted_tables)
    with engine.begin() as connection:
        # The audit trail refuses to be emptied by anybody whose session does not switch its triggers off.
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        connection.execute(text(f"TRUNCATE {names} RESTART IDENTITY CASCADE"))
    return make_sessions(engine)


@pytest.fixture
def settings(postgres: Cluster, redis_server: RedisServer, tmp_path: Path) -> Settings:
    return _settings(
        DATABASE_URL=postgres.url,
        REDIS_URL=redis_server.url,
        IMAGE_FOLDER=str(tmp_path / "images"),
        REPORT_FOLDER=str(tmp_path / "reports"),
    )


def _settings(**values: str) -> Settings:
    secrets = {"secret_key": SecretStr(SECRET)}
    return Settings(_env_file=None, **{name.lower(): value for name, value in values.items()}, **secrets)  # type: ignore[call-arg, arg-type]
