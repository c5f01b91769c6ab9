"""Bringing a backup into an empty database."""

import uuid
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, Engine, delete, func, inspect, text, update
from sqlalchemy.orm import Session

from shared import audit, job_events
from shared.audit import Verdict
from shared.backup.manifest import Manifest
from shared.backup.objects import Brought, bring_objects
from shared.backup.tables import VERSIONS, load_sequences, load_tables, table_names
from shared.errors import BackupError, ConflictError
from shared.migrations import current_revision, downgrade, known_revisions, upgrade
from shared.models import Job, JobStatus, Login, Stage
from shared.services import Services

RESTORED = "database.restored"
REPLACED_SCHEMA = "replaced"


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore did."""

    rows: int
    queued_again: int
    verdict: Verdict
    objects: Brought


def restore(services: Services, folder: Path, manifest: Manifest) -> Restored:
    """Load a backup whose manifest `read_manifest` gave, and bring the schema to this version.

    Rows come in one transaction: a run that is cut short leaves an empty database. Jobs that were running are
    queued, all logins are ended. Raises `ConflictError` if the database is not empty, `BackupError` if the
    backup does not fit, and what the stores raise.
    """
    if manifest.schema_revision not in known_revisions():
        raise BackupError(
            f"The backup has schema {manifest.schema_revision}, which this version does not know: "
            f"restore it with version {manifest.product_version} of this product or a newer one."
        )
    with services.sessions() as any_session:
        engine = any_session.get_bind().engine
    _bring_to(engine, manifest.schema_revision)
    _load(engine, folder, manifest)
    upgrade(engine)
    with services.sessions.begin() as session:
        verdict = audit.verify(session, manifest.audit_head)
        queued = _queue_running(session)
        session.execute(delete(Login))  # one that was ended since the backup must not open again
        details = {
            "taken_at": manifest.taken_at.isoformat(),
            "rows": manifest.rows,
            "jobs_queued_again": queued,
        }
        audit.record(session, audit.CLI, RESTORED, "database", details=details)
    return Restored(manifest.rows, queued, verdict, bring_objects(services, folder, manifest))


def _bring_to(engine: Engine, revision: str) -> None:
    with engine.connect() as connection:
        _refuse_filled(connection)
        current = current_revision(connection)
    if current != revision:
        if current is not None:
            downgrade(engine, "base")
        upgrade(engine, revision)


def _load(engine: Engine, folder: Path, manifest: Manifest) -> None:
    with engine.begin() as connection:
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        names = table_names(connection)
        if set(names) != {table.table for table in manifest.tables}:
            raise BackupError("The backup has other tables than its schema: it was not made by this product.")
        listed = ", ".join(f'"{name}"' for name in names)
        connection.execute(text(f"LOCK TABLE {listed} IN ACCESS EXCLUSIVE MODE"))
        _refuse_filled(connection)  # again: a process of the product may have written since
        load_tables(connection, folder, manifest.tables)
        load_sequences(connection, manifest.sequences)


def _refuse_filled(connection: Connection) -> None:
    """Raises `ConflictError` if any table has a row, or is none of ours."""
    if current_revision(connection) is None and table_names(connection):
        raise ConflictError("The database has tables of something else. Restore into an empty database.")
    if REPLACED_SCHEMA in inspect(connection).get_schema_names():
        raise ConflictError("The database has the replaced system's tables. Restore into an empty database.")
    for name in table_names(connection):
        query = f'SELECT EXISTS (SELECT FROM "{name}")'  # noqa: S608 - a name from Postgres' own catalogue
        if name != VERSIONS and connection.execute(text(query)).scalar_one():
            raise ConflictError(
                f"The database is not empty: there are {name}. Stop the API and the workers, and restore "
                "into a new database."
            )


def _queue_running(session: Session) -> int:
    """Give back, uncounted, what workers had when the backup was made: their claims are void."""
    running = session.execute(
        update(Job)
        .where(Job.status == JobStatus.RUNNING)
        .values(
            status=JobStatus.QUEUED,
            stage=Stage.WAITING,
            lease_owner=None,
            lease_until=None,
            run_after=func.now(),
            spent_attempts=Job.spent_attempts + 1,
        )
        .returning(Job.id, Job.attempt)
        .execution_options(synchronize_session=False)
    ).all()
    attempts: list[tuple[uuid.UUID, int]] = [(row[0], row[1]) for row in running]
    job_events.changed(session, attempts, JobStatus.RUNNING, JobStatus.QUEUED, "restored")
    return len(attempts)
