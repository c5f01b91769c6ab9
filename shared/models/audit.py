"""The audit trail: who did what, and when. The database refuses to change or remove a row."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, FetchedValue, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from shared.models.base import Base


class AuditEvent(Base):
    """One act. Holds ids and counts, never names.

    `id` (without gaps), `at`, `previous_hash` and `hash` are written by a trigger of the database: each hash
    covers the row and the hash before it, so that a changed, removed or inserted row breaks the chain.
    """

    __tablename__ = "audit_events"
    __table_args__ = (
        Index("ix_audit_events_actor", "actor", "id"),
        Index("ix_audit_events_subject", "subject", "id"),
        Index("ix_audit_events_action", "action", "id"),
    )

    id: Mapped[int] = mapped_column(
        BigInteger, primary_key=True, autoincrement=False, server_default=FetchedValue()
    )
    at: Mapped[datetime] = mapped_column(server_default=FetchedValue())
    actor: Mapped[str] = mapped_column(String(60))  # "admin:1", "patient:7", "anonymous", "cli"
    action: Mapped[str] = mapped_column(String(60))  # "scan.uploaded"
    subject: Mapped[str] = mapped_column(String(120))  # "patient:7"
    request_id: Mapped[str | None] = mapped_column(String(64))
    details: Mapped[dict[str, Any] | None]
    previous_hash: Mapped[str] = mapped_column(String(64), server_default=FetchedValue())
    hash: Mapped[str] = mapped_column(String(64), server_default=FetchedValue())
