"""Alembic's entry: runs on the connection that `shared.migrations.upgrade` hands over."""

from alembic import context
from sqlalchemy import text

from shared.models import Base

MIGRATION_LOCK = 7_204_511_904

connection = context.config.attributes["connection"]
connection.execute(text("SET LOCAL statement_timeout = 0"))  # large tables, and waiting for another's upgrade
connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
context.configure(connection=connection, target_metadata=Base.metadata, compare_type=True)
with context.begin_transaction():
    context.run_migrations()
