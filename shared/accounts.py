"""People and their logins. Functions take a session and never commit."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from sqlalchemy import delete, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from shared.errors import AuthenticationError, ConflictError, NotFoundError
from shared.ids import new_patient_id
from shared.models import Admin, Login, Patient
from shared.passwords import generate_password, hash_password, verify_password

TOKEN_BYTES = 32
USERNAME_RANDOM_BYTES = 4


class Role(StrEnum):
    ADMIN = "admin"
    PATIENT = "patient"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is signed in: `id` is admins.id or patients.id."""

    role: Role
    id: int


@dataclass(frozen=True, slots=True)
class NewPatient:
    """What is known about a patient when the record is made."""

    name: str
    email: str
    age: int | None = None
    gender: str | None = None
    phone: str | None = None
    address: str | None = None


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user name and its password in clear, to be shown once."""

    username: str
    password: str


def add_admin(session: Session, username: str, email: str | None, password: str | None) -> Credentials:
    """Create an admin; without `password` one is generated. Raises `ConflictError` if the name is taken."""
    password = password or generate_password()
    session.add(Admin(username=username, email=email, password_hash=hash_password(password)))
    _flush(session, "An admin with this user name exists already.")
    return Credentials(username, password)


def create_patient(session: Session, new: NewPatient) -> tuple[Patient, Credentials]:
    """Create a patient with a generated login. Raises `ConflictError` if the e-mail address is taken."""
    credentials = Credentials(f"patient_{secrets.token_hex(USERNAME_RANDOM_BYTES)}", generate_password())
    patient = Patient(
        patient_id=new_patient_id(),
        username=credentials.username,
        password_hash=hash_password(credentials.password),
        name=new.name,
        email=new.email,
        age=new.age,
        gender=new.gender,
        phone=new.phone,
        address=new.address,
    )
    session.add(patient)
    _flush(session, "A patient with this e-mail address exists already.")
    return patient, credentials


def list_patients(session: Session) -> list[Patient]:
    """All patients, newest first."""
    return list(session.scalars(select(Patient).order_by(Patient.id.desc())))


def get_patient(session: Session, patient_id: int) -> Patient:
    """Raises `NotFoundError` if there is no such patient."""
    patient = session.get(Patient, patient_id)
    if patient is None:
        raise NotFoundError("Patient not found")
    return patient


def log_in_admin(session: Session, username: str, password: str, hours: float) -> tuple[Admin, str]:
    """Check the password and open a login. Returns the admin and the token, which is stored only hashed.

    Raises `AuthenticationError`, after the same time whether the user exists or not.
    """
    admin = session.scalar(select(Admin).where(Admin.username == username))
    if not verify_password(admin.password_hash if admin else None, password) or admin is None:
        raise AuthenticationError("Invalid credentials")
    token = secrets.token_urlsafe(TOKEN_BYTES)
    session.execute(delete(Login).where(Login.expires_at < func.now()))
    session.add(
        Login(token_sha256=_digest(token), admin_id=admin.id, expires_at=func.now() + timedelta(hours=hours))
    )
    return admin, token


def caller_of(session: Session, token: str) -> Caller | None:
    """Who holds this token, or None if it is unknown or expired."""
    row = session.execute(
        select(Login.admin_id, Login.patient_id).where(
            Login.token_sha256 == _digest(token), Login.expires_at > func.now()
        )
    ).one_or_none()
    if row is None:
        return None
    if row.admin_id is not None:
        return Caller(Role.ADMIN, row.admin_id)
    return Caller(Role.PATIENT, row.patient_id)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _flush(session: Session, message: str) -> None:
    try:
        session.flush()
    except IntegrityError as error:
        raise ConflictError(message) from error
