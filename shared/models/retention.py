"""What retention still has to delete."""

from datetime import datetime

from sqlalchemy import String, func
from sqlalchemy.orm import Mapped, mapped_column

from shared.models.base import Base


class DoomedObject(Base):
    """An object whose row is gone, noted in the same transaction; it stays here until its store has none."""

    __tablename__ = "doomed_objects"

    role: Mapped[str] = mapped_column(String(20), primary_key=True)  # of the store
    key: Mapped[str] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(server_default=func.now())
