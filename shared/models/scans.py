"""Scans and what the model said about them."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, func, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from shared.models.base import Base
from shared.models.people import Patient


class Scan(Base):
    """One uploaded slice and its current result.

    The `*_path` columns hold object keys of the image store, or, in rows taken over from the replaced
    system, whole addresses. While `is_staged` the original lies in the staging store, under the same key.
    All result columns are NULL until the scan's job has succeeded. `prediction` stays NULL where `review`
    says why: "needs_review" or "rejected". Nobody recorded type, size and hash of rows taken over.
    `reader_verdict`, `reader_agrees` and `reviewed_at` repeat the newest `ScanReview`, as long as the result
    is the one that it is about.
    """

    __tablename__ = "scans"
    __table_args__ = (
        Index("ix_scans_patient_newest", "patient_id", "id"),
        Index("ix_scans_newest", "created_at", "id"),
        Index(
            "ix_scans_newest_read",
            "created_at",
            "id",
            postgresql_where=text("reader_verdict IS NOT NULL"),
        ),
        Index(
            "ix_scans_undecided",
            "id",
            postgresql_where=text("review = 'needs_review' AND reader_verdict IS NULL"),
        ),
        Index(
            "ix_scans_unread",
            "id",
            postgresql_where=text("analysed_at IS NOT NULL AND reader_verdict IS NULL"),
        ),
        Index("ix_scans_read", "reader_agrees", postgresql_where=text("reader_verdict IS NOT NULL")),
        Index("ix_scans_outcome", "prediction", "review"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    patient_id: Mapped[int] = mapped_column(ForeignKey("patients.id"))
    scan_id: Mapped[str] = mapped_column(unique=True)
    original_filename: Mapped[str]
    original_path: Mapped[str]
    is_staged: Mapped[bool] = mapped_column(default=False)
    content_type: Mapped[str | None] = mapped_column(String(50))
    byte_size: Mapped[int | None]
    width: Mapped[int | None]
    height: Mapped[int | None]
    sha256: Mapped[str | None] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    heatmap_path: Mapped[str | None]
    overlay_path: Mapped[str | None]
    prediction: Mapped[str | None] = mapped_column(String(20))
    confidence: Mapped[float | None]
    probability: Mapped[float | None]
    raw_probability: Mapped[float | None]
    rejection: Mapped[dict[str, Any] | None]  # reason and score, where `review` is "rejected"
    tumor_type: Mapped[str | None] = mapped_column(String(50))
    review: Mapped[str | None] = mapped_column(String(50))
    class_probabilities: Mapped[dict[str, Any] | None]
    explanation: Mapped[dict[str, Any] | None]
    model: Mapped[dict[str, Any] | None]
    analysed_at: Mapped[datetime | None]
    report_path: Mapped[str | None]

    reader_verdict: Mapped[str | None] = mapped_column(String(20))
    reader_agrees: Mapped[bool | None]
    reviewed_at: Mapped[datetime | None]

    patient: Mapped[Patient] = relationship(lazy="raise")
