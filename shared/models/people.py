"""Who uses the system: admins, readers, patients and their logins."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, false, func, text
from sqlalchemy.orm import Mapped, mapped_column

from shared.models.base import Base


class AdminRole(StrEnum):
    """What a member of the staff may do."""

    ADMIN = "admin"
    READER = "reader"  # sees everything, changes nothing but adds reviews


class Admin(Base):
    """Somebody of the staff, who works with all patients' scans."""

    __tablename__ = "admins"
    __table_args__ = (CheckConstraint("role IN ('admin', 'reader')", name="role"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    username: Mapped[str] = mapped_column(unique=True)
    password_hash: Mapped[str] = mapped_column(String(255))
    email: Mapped[str | None]
    role: Mapped[AdminRole] = mapped_column(String(20), default=AdminRole.ADMIN)
    has_generated_password: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Patient(Base):
    """A person whose scans are analysed. `patient_id` is the display id, `id` the key in URLs.

    Only rows taken over from the replaced system lack an e-mail address, or share that of an older row
    (`shares_email`): every other address belongs to one patient. `is_on_hold`: retention leaves the records.
    """

    __tablename__ = "patients"
    __table_args__ = (
        Index("uq_patients_email", "email", unique=True, postgresql_where=text("NOT shares_email")),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    patient_id: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    email: Mapped[str | None]
    shares_email: Mapped[bool] = mapped_column(default=False)
    age: Mapped[int | None]
    gender: Mapped[str | None]
    phone: Mapped[str | None]
    address: Mapped[str | None]
    username: Mapped[str] = mapped_column(unique=True)
    password_hash: Mapped[str] = mapped_column(String(255))
    has_generated_password: Mapped[bool] = mapped_column(default=False)
    is_on_hold: Mapped[bool] = mapped_column(default=False, server_default=false())
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())


class Login(Base):
    """One signed-in session. Only the token's SHA-256 is kept: a leaked table opens no account."""

    __tablename__ = "logins"
    __table_args__ = (CheckConstraint("(admin_id IS NULL) <> (patient_id IS NULL)", name="one_owner"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    token_sha256: Mapped[str] = mapped_column(String(64), unique=True)
    admin_id: Mapped[int | None] = mapped_column(ForeignKey("admins.id", ondelete="CASCADE"))
    patient_id: Mapped[int | None] = mapped_column(ForeignKey("patients.id", ondelete="CASCADE"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime]


class LoginFailure(Base):
    """One wrong password. The account is kept as a digest: people type all sorts of things there."""

    __tablename__ = "login_failures"
    __table_args__ = (
        Index("ix_login_failures_account", "account_sha256", "at"),
        Index("ix_login_failures_address", "address", "at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(server_default=func.now())
    account_sha256: Mapped[str] = mapped_column(String(64))
    address: Mapped[str] = mapped_column(String(64))
