"""Each schema serves the version before it too: an update migrates first and replaces processes after."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest
from sqlalchemy import Connection, Engine, inspect, text

from shared.database import make_engine
from shared.migrations import known_revisions, upgrade
from shared.settings import Settings
from tests.integration.fresh_database import fresh_database

# Made before there was anything to update: nobody ran a version with these schemas.
BEFORE_THE_FIRST_RELEASE = {
    "0002": [],
    "0003": [
        f"{column} is needed, and older versions do not write it"
        for column in (
            "admins.has_generated_password",
            "admins.role",
            "batches.origin",
            "jobs.is_public",
            "jobs.spent_attempts",
            "patients.has_generated_password",
            "reports.is_legacy",
            "scans.is_staged",
        )
    ],
    "0004": ["patients.shares_email is needed, and older versions do not write it"],
}


@dataclass(frozen=True)
class Column:
    """What a version that knows the column relies on, and what one that does not must be spared."""

    kind: str
    length: int | None
    is_nullable: bool
    has_default: bool


Schema = Mapping[str, Mapping[str, Column]]


@pytest.fixture
def database(settings: Settings) -> Iterator[Engine]:
    with fresh_database(settings) as fresh:
        engine = make_engine(fresh)
        yield engine
        engine.dispose()


def schema_of(bind: Engine | Connection) -> Schema:
    found = inspect(bind)
    return {
        name: {
            column["name"]: Column(
                type(column["type"]).__name__,
                getattr(column["type"], "length", None),
                column["nullable"],
                column["default"] is not None or "identity" in column,
            )
            for column in found.get_columns(name)
        }
        for name in found.get_table_names()
    }


def breaks(before: Schema, after: Schema) -> list[str]:
    """What would stop a version made for `before` on `after`."""
    found = [f"{table} is gone" for table in before if table not in after]
    for table in before.keys() & after.keys():
        old, new = before[table], after[table]
        found += [f"{table}.{name} is gone" for name in old if name not in new]
        found += [
            f"{table}.{name} is needed, and older versions do not write it"
            for name, column in new.items()
            if name not in old and not column.is_nullable and not column.has_default
        ]
        for name in old.keys() & new.keys():
            was, now = old[name], new[name]
            if was.kind != now.kind:
                found.append(f"{table}.{name} has another type")
            if was.is_nullable and not now.is_nullable:
                found.append(f"{table}.{name} takes no NULL any more")
            if was.has_default and not now.has_default:
                found.append(f"{table}.{name} has lost its default")
            if now.length is not None and (was.length is None or was.length > now.length):
                found.append(f"{table}.{name} takes shorter texts only")
    return sorted(found)


def test_each_migration_lets_the_version_before_it_go_on(database: Engine) -> None:
    before: Schema | None = None
    for revision in known_revisions():
        upgrade(database, revision)
        after = schema_of(database)
        if before is not None:
            assert breaks(before, after) == BEFORE_THE_FIRST_RELEASE.get(revision, []), revision
        before = after


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("DROP TABLE workers", "workers is gone"),
        ("ALTER TABLE scans RENAME review TO verdict", "scans.review is gone"),
        ("ALTER TABLE scans DROP review", "scans.review is gone"),
        (
            "ALTER TABLE scans ADD site text NOT NULL",
            "scans.site is needed, and older versions do not write it",
        ),
        ("ALTER TABLE scans ALTER review SET NOT NULL", "scans.review takes no NULL any more"),
        ("ALTER TABLE scans ALTER created_at DROP DEFAULT", "scans.created_at has lost its default"),
        ("ALTER TABLE scans ALTER byte_size TYPE text", "scans.byte_size has another type"),
        ("ALTER TABLE scans ALTER review TYPE varchar(3)", "scans.review takes shorter texts only"),
        ("ALTER TABLE scans ADD site text NOT NULL DEFAULT ''", None),
        ("ALTER TABLE scans ADD site text", None),
        ("CREATE TABLE sites (id int NOT NULL)", None),
    ],
)
@pytest.mark.usefixtures("sessions")  # no rows: they would refuse what these statements ask for
def test_what_would_stop_an_older_version_is_noticed(
    engine: Engine, statement: str, said: str | None
) -> None:
    before = schema_of(engine)
    with engine.connect() as connection:
        connection.execute(text(statement))
        after = schema_of(connection)
        connection.rollback()
    assert breaks(before, after) == ([] if said is None else [said])
