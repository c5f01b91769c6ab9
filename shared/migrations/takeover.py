"""Takes over the database of the replaced system: its tables are moved aside whole, then copied into ours.

That system had no Alembic. Where the first revision runs and finds tables named as its were, `set_aside`
moves them, with their indexes and sequences, to the schema `replaced`; once our tables have the columns that
old rows need, `copy_rows` fills them. Nothing is deleted, so nothing that a copy leaves out is lost. Once you
have looked at what was taken over and made a backup, `DROP SCHEMA replaced CASCADE` removes the old tables.
Migrating down to the base puts them back where they were, for the replaced system to go on.
"""

from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import OperationalError

from shared.errors import ServiceUnavailableError
from shared.migrations import taken_over_people, taken_over_work
from shared.migrations.old_tables import REPLACED, OldTable

TABLES = ("admins", "patients", "scans", "reports")
LOCK_TIMEOUT = "30s"


def set_aside(connection: Connection) -> None:
    """Move the replaced system's tables out of the way, if there are any.

    Raises `ServiceUnavailableError` if that system still works with them.
    """
    found = [name for name in TABLES if inspect(connection).has_table(name)]
    if not found:
        return
    connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {REPLACED}"))
    connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'"))
    try:
        for name in found:
            connection.execute(text(f"ALTER TABLE {name} SET SCHEMA {REPLACED}"))
    except OperationalError as error:
        raise ServiceUnavailableError(
            "The replaced system still uses its tables: stop it, then migrate again."
        ) from error
    connection.execute(text("SET LOCAL lock_timeout = DEFAULT"))


def copy_rows(connection: Connection) -> None:
    """Fill our tables from those that were set aside, if there are any."""
    found = set(TABLES) & set(inspect(connection).get_table_names(schema=REPLACED))
    old = {name: OldTable(connection, name) for name in found}
    if "admins" in old:
        taken_over_people.copy_admins(connection, old["admins"])
    if "patients" in old:
        taken_over_people.copy_patients(connection, old["patients"])
    owned = [old[name] for name in ("scans", "reports") if name in old]
    nobody = taken_over_people.add_missing_patients(connection, owned)
    if "scans" in old:
        taken_over_work.copy_scans(connection, old["scans"], nobody)
    if "reports" in old:
        taken_over_work.copy_reports(connection, old["reports"], nobody)
    for name in TABLES if found else ():
        highest = f"(SELECT max(id) FROM {name})"  # noqa: S608 - one of our own table names
        connection.execute(text(f"SELECT setval(pg_get_serial_sequence('{name}', 'id'), {highest})"))


def put_back(connection: Connection) -> None:
    """Give the replaced system its tables back; ours of the same names must be gone."""
    inspector = inspect(connection)
    if REPLACED not in inspector.get_schema_names():
        return
    present = inspector.get_table_names(schema=REPLACED)
    for name in set(TABLES) & set(present):
        connection.execute(
            text(f'ALTER TABLE {REPLACED}.{name} SET SCHEMA "{inspector.default_schema_name}"')
        )
    if set(present) <= set(TABLES):
        connection.execute(text(f"DROP SCHEMA {REPLACED}"))
