"""One piece of maintenance at a time: a reconciliation, a backup, a retention run or a migration."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import text
from sqlalchemy.orm import Session

from shared.errors import ConflictError
from shared.services import Services

ADVISORY_LOCK = 7_204_511_904  # `shared.migrations` takes it too, and waits for it
STATEMENT_TIMEOUT_MS = 600_000  # a page of what no row names may lie behind a million objects that are named
ANOTHER_RUNS = (
    "Another reconciliation, backup, retention run or migration is going on. Wait until it has ended."
)


@contextmanager
def alone(services: Services) -> Iterator[Session]:
    """A session that stays on its connection across commits, so that it may have temporary tables.

    Raises `ConflictError` while other maintenance is going on.
    """
    with services.sessions() as any_session:
        engine = any_session.get_bind().engine
    with engine.connect() as connection, services.sessions(bind=connection) as session:
        if not session.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": ADVISORY_LOCK}):
            raise ConflictError(ANOTHER_RUNS)
        session.commit()
        try:
            session.execute(text(f"SET statement_timeout = {STATEMENT_TIMEOUT_MS}"))
            session.execute(text("SET idle_in_transaction_session_timeout = 0"))  # listing a store takes long
            session.commit()
            yield session
        finally:
            session.rollback()
            session.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": ADVISORY_LOCK})
            session.close()
            connection.invalidate()  # closed and not pooled: its temporary tables end with it
