"""Is Postgres there, is its schema ours, and do the clocks agree?"""

from collections.abc import Iterator
from datetime import UTC, datetime

from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError

from shared.doctor.finding import Finding, ok, problem, warning
from shared.migrations import alembic_config

MAX_CLOCK_DIFFERENCE_S = 2.0


def check(engine: Engine) -> Iterator[Finding]:
    try:
        with engine.connect() as connection:
            version = connection.execute(text("SHOW server_version")).scalar_one()
            found = [ok("database", f"Postgres {version} answers"), _schema(connection), _clock(connection)]
    except SQLAlchemyError:
        found = [
            problem(
                "database",
                "Postgres does not answer, or refuses the login: check DATABASE_URL or DB_*, and if it runs.",
            )
        ]
    yield from found


def _schema(connection: Connection) -> Finding:
    scripts = ScriptDirectory.from_config(alembic_config())
    newest = scripts.get_current_head()
    current = MigrationContext.configure(connection).get_current_revision()
    if current == newest:
        return ok("schema", f"revision {current}, the newest")
    known = {script.revision for script in scripts.walk_revisions()}
    if current is None or current in known:
        at = f"at revision {current}" if current else "without tables"
        return problem("schema", f"The database is {at}, not {newest}: run `python -m api.cli migrate`.")
    return problem(
        "schema", f"Revision {current} is unknown here: run the version of this program that made it."
    )


def _clock(connection: Connection) -> Finding:
    before = datetime.now(UTC)
    theirs: datetime = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
    after = datetime.now(UTC)
    seconds = (theirs - (before + (after - before) / 2)).total_seconds()
    if abs(seconds) <= MAX_CLOCK_DIFFERENCE_S:
        return ok("clock", "agrees with the one of Postgres")
    direction = "ahead of" if seconds > 0 else "behind"
    return warning(
        "clock",
        f"The clock of Postgres is {abs(seconds):.0f} s {direction} this machine's: let NTP set both.",
    )
