"""Giving a patient a login, and telling them by mail. Functions take a session and never commit."""

from dataclasses import dataclass

from sqlalchemy.orm import Session

from shared import accounts, logins, mails
from shared.accounts import Credentials, PatientFacts
from shared.logins import Caller, Role
from shared.models import Job, Patient
from shared.passwords import generate_password, hash_password
from shared.settings import Settings


@dataclass(frozen=True, slots=True)
class Enrolled:
    """A patient, the password to show once, and the job that mails it, if there is a mail server.

    `is_mail_accepted`: the mail is on its way, by a configuration that is not known to be broken.
    """

    patient: Patient
    credentials: Credentials
    mail_job: Job | None
    is_mail_accepted: bool


def enrol(session: Session, facts: PatientFacts, settings: Settings) -> Enrolled:
    """Create a patient with a generated login. Raises `ConflictError` if the e-mail address is taken."""
    patient, credentials = accounts.create_patient(session, facts)
    return _tell(session, patient, credentials, settings)


def reset_password(session: Session, patient_id: int, settings: Settings) -> Enrolled:
    """Replace a patient's password by a generated one and end their logins. Raises `NotFoundError`."""
    patient = accounts.get_patient(session, patient_id)
    credentials = Credentials(patient.username, generate_password())
    caller = Caller(Role.PATIENT, patient.id)
    logins.set_password(session, caller, hash_password(credentials.password), is_generated=True)
    logins.sign_out_everywhere(session, caller)
    return _tell(session, patient, credentials, settings)


def _tell(session: Session, patient: Patient, credentials: Credentials, settings: Settings) -> Enrolled:
    is_working = mails.is_accepting(session, settings)
    job = mails.queue_credentials(session, patient, credentials.password, settings)
    return Enrolled(patient, credentials, job, is_working and job is not None)
