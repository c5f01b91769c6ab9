"""Jobs, their ledger, batches, remembered requests, and workers. The job row is the truth about work."""

import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Index, String, func, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from shared.models.base import Base
from shared.models.mails import Mail
from shared.models.reports import Report
from shared.models.scans import Scan


class JobKind(StrEnum):
    SCAN = "scan"
    REPORT = "report"
    MAIL = "mail"


class JobStatus(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


UNFINISHED = (JobStatus.QUEUED, JobStatus.RUNNING)


class Stage(StrEnum):
    """Where a job is, or where its last attempt failed for good. Another attempt does all stages again:
    they take seconds, and what an earlier attempt stored is neither needed nor shown.
    """

    WAITING = "waiting"  # queued, perhaps for another attempt
    CLAIMED = "claimed"  # running; of a failed job: its worker died, nobody knows where
    FETCH = "fetch"  # scans: the original from its store
    DECODE = "decode"
    PREDICT = "predict"
    DRAW = "draw"
    GATHER = "gather"  # reports: the rows
    RENDER = "render"  # reports: pages, for which pictures are fetched
    STORE = "store"  # pictures or the PDF into their store
    SEND = "send"  # mails
    DONE = "done"  # succeeded or cancelled


class Lane(StrEnum):
    """Small uploads that a person waits for, and bulk work."""

    INTERACTIVE = "interactive"
    BULK = "bulk"


class BatchOrigin(StrEnum):
    """How a batch came to be."""

    UPLOAD = "upload"  # made by one upload request
    REQUEST = "request"  # asked for, to be filled by any number of requests


class Batch(Base):
    """Scans that were sent together: in one upload, or in several into a batch that was asked for."""

    __tablename__ = "batches"
    __table_args__ = (CheckConstraint("origin IN ('upload', 'request')", name="origin"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    origin: Mapped[BatchOrigin] = mapped_column(String(20), default=BatchOrigin.UPLOAD)
    name: Mapped[str | None] = mapped_column(String(100))
    admin_id: Mapped[int | None] = mapped_column(ForeignKey("admins.id", ondelete="SET NULL"))
    cancelled_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Job(Base):
    """One piece of work: analyse a scan, render a report or send a mail.

    `attempt` is the fencing token: a worker's writes count only while its attempt is the row's and the row
    is running; it only ever grows. `spent_attempts` of them were made before a person last asked for a
    retry and count no more. `crash_count` counts attempts that ended without a word; such a job is retried
    alone. `is_public`: the upload was anonymous, and whoever knows the id may read the job.
    """

    __tablename__ = "jobs"
    __table_args__ = (
        CheckConstraint(
            "num_nonnulls(scan_id, report_id, mail_id) = 1"
            " AND (kind = 'scan') = (scan_id IS NOT NULL)"
            " AND (kind = 'report') = (report_id IS NOT NULL)",
            name="subject",
        ),
        CheckConstraint("status IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')", name="status"),
        Index("ix_jobs_queued", "kind", "lane", "position", postgresql_where=text("status = 'queued'")),
        Index("ix_jobs_running", "lease_until", postgresql_where=text("status = 'running'")),
        Index(
            "ix_jobs_unfinished",
            "kind",
            "position",
            postgresql_where=text("status IN ('queued', 'running')"),
        ),
        Index("ix_jobs_finished", "finished_at", postgresql_where=text("finished_at IS NOT NULL")),
        Index(
            "ix_jobs_crashed",
            "kind",
            "position",
            postgresql_where=text("status = 'queued' AND crash_count > 0"),
        ),
        Index(
            "ix_jobs_without_result",
            "status",
            "position",
            postgresql_where=text("status IN ('failed', 'cancelled')"),
        ),
        Index(
            "ix_jobs_not_scans",
            "kind",
            "position",
            postgresql_where=text("kind IN ('report', 'mail')"),
        ),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    position: Mapped[int] = mapped_column(BigInteger, Identity(), unique=True)  # age: lower is older
    kind: Mapped[JobKind] = mapped_column(String(20))
    lane: Mapped[Lane] = mapped_column(String(20), default=Lane.INTERACTIVE)
    status: Mapped[JobStatus] = mapped_column(String(20), default=JobStatus.QUEUED)
    stage: Mapped[Stage] = mapped_column(String(30), default=Stage.WAITING)
    attempt: Mapped[int] = mapped_column(default=0)
    spent_attempts: Mapped[int] = mapped_column(default=0)
    crash_count: Mapped[int] = mapped_column(default=0)
    run_after: Mapped[datetime] = mapped_column(server_default=func.now())
    lease_owner: Mapped[str | None] = mapped_column(String(200))
    lease_until: Mapped[datetime | None]
    error_code: Mapped[str | None] = mapped_column(String(50))
    error_message: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    scan_id: Mapped[int | None] = mapped_column(ForeignKey("scans.id"), index=True)
    report_id: Mapped[int | None] = mapped_column(ForeignKey("reports.id"), index=True)
    mail_id: Mapped[int | None] = mapped_column(ForeignKey("mails.id"), index=True)
    batch_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("batches.id"), index=True)
    is_public: Mapped[bool] = mapped_column(default=False)

    scan: Mapped[Scan | None] = relationship(lazy="raise")
    report: Mapped[Report | None] = relationship(lazy="raise")
    mail: Mapped[Mail | None] = relationship(lazy="raise")


class JobEvent(Base):
    """The ledger: one row for each change of a job's status, written in the same transaction."""

    __tablename__ = "job_events"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    job_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), index=True)
    attempt: Mapped[int]
    at: Mapped[datetime] = mapped_column(server_default=func.now())
    status_from: Mapped[str | None] = mapped_column(String(20))
    status_to: Mapped[str] = mapped_column(String(20))
    reason: Mapped[str] = mapped_column(String(100))


class Worker(Base):
    """A worker process that says it is alive. Written by the process that does the work."""

    __tablename__ = "workers"

    name: Mapped[str] = mapped_column(String(200), primary_key=True)
    role: Mapped[str] = mapped_column(String(20))
    device: Mapped[str] = mapped_column(String(50))
    model: Mapped[str | None] = mapped_column(String(200))
    started_at: Mapped[datetime] = mapped_column(server_default=func.now())
    last_seen_at: Mapped[datetime] = mapped_column(server_default=func.now())


class IdempotencyKey(Base):
    """A request that made work and its answer, so that a repeat gets the same answer and makes no more.

    `caller` separates people; `fingerprint` is the SHA-256 of what was asked for.
    """

    __tablename__ = "idempotency_keys"

    caller: Mapped[str] = mapped_column(String(100), primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(64))
    answer: Mapped[dict[str, Any]]  # status, body and Location
    created_at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)
