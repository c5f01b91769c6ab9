"""People: the staff and the patients. Functions take a session and never commit."""

import hashlib
import json
import secrets
from collections.abc import Collection
from dataclasses import dataclass, fields

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from shared import patient_search
from shared.errors import ChangedMeanwhileError, ConflictError, NotFoundError
from shared.ids import new_patient_id
from shared.models import Admin, AdminRole, Patient, Scan
from shared.passwords import generate_password, hash_password

USERNAME_RANDOM_BYTES = 4
MAX_ID = 2**31 - 1
MOST_DIGITS = 11
_TAKEN = "A patient with this e-mail address exists already."


@dataclass(frozen=True, slots=True)
class PatientFacts:
    """What is known about a patient."""

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


def add_admin(
    session: Session,
    username: str,
    email: str | None,
    password: str | None,
    role: AdminRole = AdminRole.ADMIN,
) -> Credentials:
    """Create an account of the staff; without `password` one is generated.

    Raises `ConflictError` if the name is taken.
    """
    chosen = password or generate_password()
    session.add(
        Admin(
            username=username,
            email=email,
            role=role,
            password_hash=hash_password(chosen),
            has_generated_password=password is None,
        )
    )
    _flush(session, "An admin with this user name exists already.")
    return Credentials(username, chosen)


def find_admin(session: Session, username: str) -> Admin:
    """Raises `NotFoundError` if there is no such account of the staff."""
    admin = session.scalar(select(Admin).where(Admin.username == username))
    if admin is None:
        raise NotFoundError("There is no admin with this user name.")
    return admin


def list_admins(session: Session) -> list[Admin]:
    """The staff, oldest first."""
    return list(session.scalars(select(Admin).order_by(Admin.id)))


def create_patient(session: Session, facts: PatientFacts) -> tuple[Patient, Credentials]:
    """Create a patient with a generated login. Raises `ConflictError` if the e-mail address is taken."""
    credentials = Credentials(f"patient_{secrets.token_hex(USERNAME_RANDOM_BYTES)}", generate_password())
    patient = Patient(
        patient_id=new_patient_id(),
        username=credentials.username,
        password_hash=hash_password(credentials.password),
        has_generated_password=True,
    )
    _write(patient, facts)
    session.add(patient)
    _flush(session, _TAKEN)
    return patient, credentials


def version_of(known: Patient | PatientFacts) -> str:
    """Names what is known without telling it: the same facts have the same name, others have another."""
    facts = [getattr(known, field.name) for field in fields(PatientFacts)]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def update_patient(
    session: Session, patient_id: int, facts: PatientFacts, seen: str | None = None
) -> Patient:
    """Replace what is known; `seen` is the `version_of` what the caller means to replace.

    Raises `NotFoundError`, `ChangedMeanwhileError` if something else is known by now, and `ConflictError` if
    the e-mail address is taken.
    """
    patient = get_patient(session, patient_id, is_locked=True)
    if seen is not None and version_of(patient) not in (seen, version_of(facts)):
        raise ChangedMeanwhileError("Somebody else has changed this patient's facts meanwhile.")
    _write(patient, facts)
    _flush(session, _TAKEN)
    session.refresh(patient)
    return patient


def _write(patient: Patient, facts: PatientFacts) -> None:
    patient.name = facts.name
    if patient.email != facts.email:
        patient.shares_email = False  # a changed address must be nobody else's
    patient.email = facts.email
    patient.age = facts.age
    patient.gender = facts.gender
    patient.phone = facts.phone
    patient.address = facts.address


def page(
    session: Session, limit: int | None = None, before: int | None = None, search: str | None = None
) -> list[Patient]:
    """Patients, newest first, from before patients.id `before`; with `search` those that it fits."""
    query = select(Patient).order_by(Patient.id.desc()).limit(limit)
    if before is not None:
        query = query.where(Patient.id < before)
    if search is not None:
        query = query.where(patient_search.matches(search))
    return list(session.scalars(query))


def get_patient(session: Session, patient_id: int, is_locked: bool = False) -> Patient:
    """Raises `NotFoundError` if there is no such patient. `is_locked`: nobody else changes it meanwhile."""
    lock = {"key_share": True} if is_locked else None  # scans may still be added
    patient = session.get(Patient, patient_id, with_for_update=lock)
    if patient is None:
        raise NotFoundError("Patient not found")
    return patient


def find_patient(session: Session, display_id: str) -> Patient | None:
    """The patient with this display id, however its letters are written."""
    written = {display_id.strip(), display_id.strip().upper()}
    return session.scalars(select(Patient).where(Patient.patient_id.in_(written))).first()


def numbers_of(session: Session, written: Collection[str]) -> dict[str, int]:
    """patients.id of each patient that is written as that number, or as a display id; others are left out."""
    numbers = {text: int(text) for text in written if _is_number(text)}
    known = set(session.scalars(select(Patient.id).where(Patient.id.in_(numbers.values()))))
    names = {text: text.upper() for text in written if text not in numbers and "\0" not in text}
    query = select(Patient.patient_id, Patient.id).where(Patient.patient_id.in_({*names, *names.values()}))
    ids = {display_id: patient_id for display_id, patient_id in session.execute(query)}  # noqa: C416
    found = {text: number for text, number in numbers.items() if number in known}
    named = {text: ids.get(text, ids.get(upper)) for text, upper in names.items()}
    return found | {text: number for text, number in named.items() if number is not None}


def count_scans(session: Session, patient_ids: Collection[int]) -> dict[int, int]:
    """How many scans each of these patients has; those without any are left out."""
    query = select(Scan.patient_id, func.count()).where(Scan.patient_id.in_(patient_ids))
    rows = session.execute(query.group_by(Scan.patient_id))
    return {patient_id: number for patient_id, number in rows}  # noqa: C416 - mypy takes no Row for a pair


def _is_number(text: str) -> bool:
    digits = text.lstrip("0")
    return text.isascii() and text.isdigit() and 0 < len(digits) < MOST_DIGITS and int(digits) <= MAX_ID


def _flush(session: Session, message: str) -> None:
    try:
        session.flush()
    except IntegrityError as error:
        raise ConflictError(message) from error
