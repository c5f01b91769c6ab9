"""Making a backup while the system works."""

import os
import secrets
import shutil
from datetime import datetime
from pathlib import Path

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from shared import __version__
from shared.backup.inventory import note_named, write_inventory
from shared.backup.manifest import Manifest, write_manifest
from shared.backup.tables import dump_sequences, dump_tables
from shared.errors import BackupError
from shared.maintenance import alone
from shared.migrations import current_revision, known_revisions
from shared.reconciliation.inventory import take_in
from shared.services import Services


def take_backup(services: Services, target: Path, with_objects: bool = False) -> Manifest:
    """Write a backup to `target`, which appears whole or not at all.

    Raises `BackupError` if something is there already or cannot be written, `ConflictError` while other
    maintenance is going on, and what the stores raise.
    """
    if target.exists():
        raise BackupError("There is something of that name already: a backup is never written over.")
    part = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        part.mkdir(mode=0o700, parents=True)
        manifest = _write(services, part, with_objects)
        os.sync()  # the data before the name that says that it is there
        part.rename(target)
    except OSError as error:
        raise BackupError(f"The backup cannot be written: {error.strerror}.") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return manifest


def _write(services: Services, folder: Path, with_objects: bool) -> Manifest:
    with alone(services) as session:
        revision, taken_at = _snapshot(session)
        tables = dump_tables(session.connection(), folder)
        sequences = dump_sequences(session.connection())
        head = session.scalar(text("SELECT hash FROM audit_events ORDER BY id DESC LIMIT 1"))
        untold = note_named(session)
        session.commit()
        take_in(session, services)
        inventory = write_inventory(session, services, folder, untold, with_objects)
    manifest = Manifest(
        product_version=__version__,
        schema_revision=revision,
        taken_at=taken_at,
        tables=tuple(tables),
        sequences=sequences,
        inventory=inventory,
        has_objects=with_objects,
        audit_head=head,
    )
    write_manifest(folder, manifest)
    return manifest


def _snapshot(session: Session) -> tuple[str, datetime]:
    """Begin to see one moment of the database. Raises `BackupError` if its schema is not known here."""
    session.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
    session.execute(text("SET LOCAL statement_timeout = 0"))
    revision = current_revision(session.connection())
    if revision not in known_revisions():
        raise BackupError("The database has no schema of this version: nothing that could be backed up.")
    return revision, session.execute(select(func.now())).scalar_one()
