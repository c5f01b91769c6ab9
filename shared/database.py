"""Engine and sessions."""

import select
import time
from typing import Any

from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.exc import InvalidatePoolError, SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from shared.metrics.database import MeasuredPool, count_returns
from shared.settings import Settings

CONNECT_TIMEOUT_S = 3
STATEMENT_TIMEOUT_MS = 30_000
IDLE_TRANSACTION_MS = 30_000  # no transaction of the product waits for anything but Postgres for so long
RESTED_S = 1.0  # a connection that was used more lately is not tried out before its next use
PRODUCT = "brain-scans"
# A server that is cut off says nothing. Connections to it are given up after this.
SILENCE = {"keepalives_idle": 10, "keepalives_interval": 3, "keepalives_count": 3, "tcp_user_timeout": 15_000}


def make_engine(settings: Settings, name: str = PRODUCT) -> Engine:
    """A pooled engine that never waits for ever. `name` says in `pg_stat_activity` whose its connections are.

    A restart of Postgres fails what is under way at that moment and what needs a connection while nothing
    answers. Once Postgres answers again nothing fails because of it: see `_try_out_connections`.
    """
    engine = create_engine(
        settings.sqlalchemy_url,
        poolclass=MeasuredPool,
        pool_size=settings.db_pool_size,
        max_overflow=settings.db_pool_size,
        pool_timeout=10,
        executemany_mode="values_plus_batch",
        hide_parameters=True,  # statements in error texts must not carry patient data
        connect_args={
            "connect_timeout": CONNECT_TIMEOUT_S,
            **SILENCE,
            "fallback_application_name": name,  # DATABASE_URL may give another one
            "options": _options(),
        },
    )
    _try_out_connections(engine)
    count_returns(engine, settings.db_pool_size, settings.db_pool_size)
    return engine


def _options() -> str:
    """What Postgres is told of each session.

    A machine that is cut off says nothing, too, and its transactions go on holding their locks: by itself
    Postgres waits for hours. Where something between answers for the machine, only the bound on idle
    transactions helps.
    """
    settings = {
        "timezone": "UTC",
        "statement_timeout": STATEMENT_TIMEOUT_MS,
        "idle_in_transaction_session_timeout": IDLE_TRANSACTION_MS,
        "tcp_keepalives_idle": SILENCE["keepalives_idle"],
        "tcp_keepalives_interval": SILENCE["keepalives_interval"],
        "tcp_keepalives_count": SILENCE["keepalives_count"],
        "tcp_user_timeout": SILENCE["tcp_user_timeout"],
    }
    return " ".join(f"-c {name}={value}" for name, value in settings.items())


def _try_out_connections(engine: Engine) -> None:
    """Like `pool_pre_ping`, which asks before every use: three questions in each poll of a job.

    Here Postgres is asked only where there is a reason: the connection has rested, so that it may have been
    lost without a word, or something has come in on it that nobody asked for, as when its server has ended
    (looking costs a system call and no answer). One dead connection condemns all that are as old.
    """

    @event.listens_for(engine, "checkin")
    def note_time(_: Any, record: Any) -> None:
        record.info["used_at"] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def try_out(connection: Any, record: Any, _: Any) -> None:
        used_at = record.info.get("used_at")
        if used_at is None:  # made just now
            return
        if time.monotonic() - used_at < RESTED_S and not _has_news(connection):
            return
        try:
            engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error as error:
            raise InvalidatePoolError from error  # those beside it are as old: all are made anew


def _has_news(connection: Any) -> bool:
    """Whether bytes or an end wait to be read: none come on an idle connection while its server lives."""
    poll = select.poll()  # `select.select` takes no file number above 1023
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))


def make_sessions(engine: Engine) -> sessionmaker[Session]:
    """Sessions that keep loaded values after the commit, so that rows can be shown once it is done."""
    return sessionmaker(engine, expire_on_commit=False)


def test_connection(sessions: sessionmaker[Session]) -> bool:
    """True if the database answers a query."""
    try:
        with sessions() as session:
            return bool(session.execute(text("SELECT 1")).scalar_one() == 1)
    except SQLAlchemyError:
        return False


test_connection.__test__ = False  # type: ignore[attr-defined]  # the name is the product's, not a pytest test
