"""The objects that rows name: which, where, and what is known of their bytes.

What the rows name is noted in the snapshot of the dump, the stores are listed after it: what a row of the
dump names was stored before. An original that waited in staging may have moved to the images meanwhile.
"""

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    MetaData,
    String,
    Table,
    and_,
    case,
    func,
    literal,
    or_,
    select,
    text,
    tuple_,
)
from sqlalchemy.orm import Session

from shared.backup.manifest import Inventory, object_file
from shared.backup.parts import Line, create, writing
from shared.errors import ObjectNotFoundError
from shared.reconciliation.inventory import ORIGINAL_KEY, PICTURE_KEY, STORED, anchored, roles
from shared.services import Services
from shared.storage.choice import IMAGES, REPORTS, STAGING

FILE = "objects.jsonl.gz"
OBJECTS_AT_ONCE = 500
THREADS = 8  # that fetch objects

NAMED = Table(
    "named_objects",
    MetaData(),
    Column("role", String, primary_key=True),
    Column("key", String, primary_key=True),
    Column("bytes", BigInteger),
    Column("sha256", String),
    prefixes=["TEMPORARY"],
)
_NOTE = f"""
INSERT INTO named_objects
SELECT CASE WHEN is_staged THEN '{STAGING}' ELSE '{IMAGES}' END, original_path, byte_size, sha256
FROM scans WHERE original_path ~ :original
UNION ALL SELECT '{IMAGES}', heatmap_path, NULL, NULL FROM scans WHERE heatmap_path ~ :picture
UNION ALL SELECT '{IMAGES}', overlay_path, NULL, NULL FROM scans WHERE overlay_path ~ :picture
UNION ALL SELECT '{REPORTS}', report_path, NULL, NULL FROM reports
WHERE report_path IS NOT NULL AND NOT is_legacy
ON CONFLICT DO NOTHING
"""  # noqa: S608 - the roles are our constants
_UNTOLD = """
SELECT (SELECT count(*) FROM scans WHERE original_path !~ :original)
     + (SELECT count(*) FROM reports WHERE report_path IS NOT NULL AND is_legacy)
"""


def note_named(session: Session) -> int:
    """Note in `NAMED` what the rows name, as the transaction sees them. Returns how many are untold."""
    NAMED.create(session.connection())
    patterns = {"original": anchored(ORIGINAL_KEY), "picture": anchored(PICTURE_KEY)}
    session.execute(text(_NOTE), patterns)
    return int(session.execute(text(_UNTOLD), {"original": patterns["original"]}).scalar_one())


def write_inventory(
    session: Session, services: Services, folder: Path, untold: int, with_objects: bool
) -> Inventory:
    """Write a line for each object of `NAMED`, looked up in `STORED`; and its bytes if `with_objects`."""
    vendors = vendors_of(services)
    objects = missing = 0
    with writing(folder, FILE) as writer, ThreadPoolExecutor(THREADS, "backup") as threads:
        for rows in _pages(session):
            lines = [_line(row, vendors) for row in rows]
            if with_objects:
                lines = list(threads.map(lambda line: _fetch(services, folder, line), lines))
            for line in lines:
                objects += 1
                missing += not line["stored"]
                writer.line(line)
    return Inventory(**writer.part.model_dump(), objects=objects, missing=missing, untold=untold)


def vendors_of(services: Services) -> dict[str, str]:
    """Who keeps what."""
    settings = services.settings
    return {
        IMAGES: settings.chosen_image_store,
        REPORTS: settings.chosen_report_store,
        STAGING: settings.staging_store,
    }


def _pages(session: Session) -> Iterator[Sequence[Any]]:
    is_same = and_(
        STORED.c.key == NAMED.c.key,
        or_(STORED.c.role == NAMED.c.role, and_(NAMED.c.role == STAGING, STORED.c.role == IMAGES)),
    )
    found = (
        select(STORED.c.role, STORED.c.bytes)
        .where(is_same)
        .order_by(case((STORED.c.role == NAMED.c.role, 0), else_=1))
        .limit(1)
        .lateral("found")
    )
    query = (
        select(
            func.coalesce(found.c.role, NAMED.c.role).label("role"),
            NAMED.c.role.label("named_role"),
            NAMED.c.key,
            func.coalesce(found.c.bytes, NAMED.c.bytes).label("bytes"),
            NAMED.c.sha256,
            found.c.role.is_not(None).label("stored"),
        )
        .select_from(NAMED.outerjoin(found, literal(True)))  # noqa: FBT003 - SQL's
        .order_by(NAMED.c.role, NAMED.c.key)
        .limit(OBJECTS_AT_ONCE)
    )
    last = ("", "")
    while rows := session.execute(
        query.where(tuple_(NAMED.c.role, NAMED.c.key) > tuple_(*map(literal, last)))
    ).all():
        session.commit()
        yield rows
        last = (rows[-1].named_role, rows[-1].key)


def _line(row: Any, vendors: dict[str, str]) -> Line:
    return {
        "role": row.role,
        "key": row.key,
        "vendor": vendors[row.role],
        "bytes": row.bytes,
        "sha256": row.sha256,
        "stored": row.stored,
    }


def _fetch(services: Services, folder: Path, line: Line) -> Line:
    """Copy the object into the backup. Raises what the store raises, but for an object that has gone."""
    try:
        data = roles(services)[str(line["role"])].get(str(line["key"]))
    except (KeyError, ObjectNotFoundError):  # the former: nothing keeps that role any more
        return {**line, "stored": False}
    with create(object_file(folder, line)) as file:
        file.write(data)
    return {**line, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest(), "stored": True}
