"""Mails that are to be sent, or were."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, func, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from shared.models.base import Base
from shared.models.people import Patient


class MailTemplate(StrEnum):
    CREDENTIALS = "credentials"  # user name and generated password of a patient


class Mail(Base):
    """One mail to a patient. The job that sends it is the truth about whether it went out.

    `secret` is the generated password, encrypted (`shared.secrets_at_rest`); it is removed once the mail is
    sent, or after a day.
    """

    __tablename__ = "mails"
    __table_args__ = (
        CheckConstraint("template IN ('credentials')", name="template"),
        Index("ix_mails_secret", "created_at", postgresql_where=text("secret IS NOT NULL")),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    template: Mapped[MailTemplate] = mapped_column(String(20))
    patient_id: Mapped[int] = mapped_column(ForeignKey("patients.id"), index=True)
    message_id: Mapped[str] = mapped_column(String(255), unique=True)  # stays the same on every attempt
    secret: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    sent_at: Mapped[datetime | None]

    patient: Mapped[Patient] = relationship(lazy="raise")
