"""Engine and sessions."""

from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from shared.settings import Settings

CONNECT_TIMEOUT_S = 3
STATEMENT_TIMEOUT_MS = 30_000


def make_engine(settings: Settings) -> Engine:
    """A pooled engine that survives a restart of Postgres and never waits for ever."""
    return create_engine(
        settings.sqlalchemy_url,
        pool_pre_ping=True,
        pool_size=settings.db_pool_size,
        max_overflow=settings.db_pool_size,
        pool_timeout=10,
        executemany_mode="values_plus_batch",
        hide_parameters=True,  # statements in error texts must not carry patient data
        connect_args={
            "connect_timeout": CONNECT_TIMEOUT_S,
            "options": f"-c timezone=UTC -c statement_timeout={STATEMENT_TIMEOUT_MS}",
        },
    )


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
