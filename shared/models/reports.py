"""PDF reports and the scans that they cover."""

from datetime import datetime

from sqlalchemy import Column, ForeignKey, Integer, Table, func
from sqlalchemy.orm import Mapped, mapped_column, relationship

from shared.models.base import Base
from shared.models.people import Patient
from shared.models.scans import Scan

report_scans = Table(
    "report_scans",
    Base.metadata,
    Column("report_id", Integer, ForeignKey("reports.id", ondelete="CASCADE"), primary_key=True),
    Column("scan_id", Integer, ForeignKey("scans.id"), primary_key=True, index=True),
)


class Report(Base):
    """One PDF about scans of one patient. `report_path` is its key in the report store, NULL until stored.

    `is_legacy`: the row was taken over from the replaced system. Then `report_path` is what that system
    wrote, an S3 key or a path on its disk; `shared.legacy_reports` knows where the bytes are.
    """

    __tablename__ = "reports"

    id: Mapped[int] = mapped_column(primary_key=True)
    patient_id: Mapped[int] = mapped_column(ForeignKey("patients.id"), index=True)
    report_id: Mapped[str] = mapped_column(unique=True)
    report_path: Mapped[str | None]
    is_legacy: Mapped[bool] = mapped_column(default=False)
    legacy_path: Mapped[str | None]  # what `report_path` was before `api.cli migrate-reports` moved the file
    scan_count: Mapped[int] = mapped_column(default=0)
    tumor_count: Mapped[int] = mapped_column(default=0)
    no_tumor_count: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    patient: Mapped[Patient] = relationship(lazy="raise")
    scans: Mapped[list[Scan]] = relationship(secondary=report_scans, order_by=Scan.id, lazy="raise")
