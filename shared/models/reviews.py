"""What readers of images say about scans, beside what the model says."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Index, String, func
from sqlalchemy.orm import Mapped, mapped_column, relationship

from shared.models.base import Base
from shared.models.people import Admin


class ReaderVerdict(StrEnum):
    """What a reader sees in a slice. The first two are the model's own words."""

    TUMOR = "Tumor"
    NO_TUMOR = "No Tumor"
    UNUSABLE = "Unusable"  # the picture cannot be judged


class ScanReview(Base):
    """One verdict about one scan; a later one counts instead, and this row stays as it is.

    `prediction`, `probability`, `review` and `model_version` are what the model had said at that moment.
    `agrees`: the verdict is the model's prediction; NULL where it had given none. `comment` is patient data.
    """

    __tablename__ = "scan_reviews"
    __table_args__ = (
        CheckConstraint("verdict IN ('Tumor', 'No Tumor', 'Unusable')", name="verdict"),
        Index("ix_scan_reviews_newest", "scan_id", "id"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    scan_id: Mapped[int] = mapped_column(ForeignKey("scans.id", ondelete="CASCADE"))
    admin_id: Mapped[int] = mapped_column(ForeignKey("admins.id"))
    verdict: Mapped[ReaderVerdict] = mapped_column(String(20))
    comment: Mapped[str | None]
    prediction: Mapped[str | None] = mapped_column(String(20))
    probability: Mapped[float | None]
    review: Mapped[str | None] = mapped_column(String(50))
    model_version: Mapped[str | None]
    agrees: Mapped[bool | None]
    at: Mapped[datetime] = mapped_column(server_default=func.now())

    reader: Mapped[Admin] = relationship(lazy="raise")
