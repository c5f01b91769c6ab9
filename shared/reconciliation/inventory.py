"""What the stores have, in a temporary table of one database connection.

Memory stays flat however much there is, and both questions, what no row names and what is missing, are joins.
Only keys that this product makes are taken in: what the replaced system stored beside them is not judged.
"""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice

from sqlalchemy import BigInteger, Column, DateTime, MetaData, String, Table, delete, text, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from shared.ids import RANDOM_BYTES
from shared.maintenance import alone
from shared.services import Services
from shared.storage import ObjectStore
from shared.storage.choice import IMAGES, REPORTS, STAGING

ROWS_AT_ONCE = 1000

_ID = f"[0-9A-F]{{{2 * RANDOM_BYTES}}}"
ORIGINAL_KEY = rf"original/(S{_ID})\.[a-z]+"
PICTURE_KEY = rf"(?:heatmap|overlay)/(S{_ID})-[0-9]+\.png"
REPORT_KEY = rf"(R{_ID})\.pdf"
_KEYS = {
    IMAGES: re.compile(f"{ORIGINAL_KEY}|{PICTURE_KEY}"),
    STAGING: re.compile(ORIGINAL_KEY),
    REPORTS: re.compile(REPORT_KEY),
}

STORED = Table(
    "stored_objects",
    MetaData(),
    Column("role", String, primary_key=True),
    Column("key", String, primary_key=True),
    Column("owner", String, nullable=False),  # display id of the scan or report
    Column("modified_at", DateTime(timezone=True), nullable=False),
    Column("bytes", BigInteger, nullable=False),
    prefixes=["TEMPORARY"],
)


def anchored(pattern: str) -> str:
    """The pattern for Postgres, which searches where Python matches."""
    return f"^{pattern}$"


def roles(services: Services) -> dict[str, ObjectStore]:
    """The stores in use by role."""
    stores = {IMAGES: services.images, REPORTS: services.reports}
    return stores if services.staging is None else {**stores, STAGING: services.staging}


@contextmanager
def taken(services: Services) -> Iterator[Session]:
    """A session that sees all stored objects in `STORED`, and stays on its connection across commits.

    Raises `ConflictError` while other maintenance is going on, and what the stores raise.
    """
    with alone(services) as session:
        take_in(session, services)
        yield session


def take_in(session: Session, services: Services) -> None:
    """List the stores into `STORED`, which lasts as long as the session's connection."""
    STORED.create(session.connection())
    session.commit()
    for role, store in roles(services).items():
        _take_in(session, role, store)


def _take_in(session: Session, role: str, store: ObjectStore) -> None:
    entries = store.keys("")
    while page := list(islice(entries, ROWS_AT_ONCE)):
        rows = [
            {
                "role": role,
                "key": entry.key,
                "owner": next(filter(None, found.groups())),
                "modified_at": entry.modified_at,
                "bytes": entry.bytes,
            }
            for entry in page
            if (found := _KEYS[role].fullmatch(entry.key))
        ]
        if rows:  # a listing that changes while it is read may name an object twice
            session.execute(insert(STORED).on_conflict_do_nothing(), rows)
            session.commit()
    session.execute(text("ANALYZE stored_objects"))
    session.commit()


def forget(session: Session, objects: Iterable[tuple[str, str]]) -> None:
    """Take deleted objects, as role and key, out of the table."""
    session.execute(delete(STORED).where(tuple_(STORED.c.role, STORED.c.key).in_(list(objects))))
