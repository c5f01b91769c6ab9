"""What the staff does to patients, for the JSON routes and the pages alike."""

from api.acts import note
from api.repeats import RepeatableRequest
from api.schemas.patients import PatientBody
from api.wiring import services
from shared import accounts, enrolment
from shared.accounts import PatientFacts
from shared.enrolment import Enrolled
from shared.models import JobKind, Patient
from shared.queue import hints


def create(body: PatientBody, once: RepeatableRequest | None = None) -> Enrolled:
    """Make a patient with a generated password, which is told this once, and mailed where mail is set up.

    Raises `ConflictError` if the e-mail address is taken, and `RepeatedRequestError` if a twin of the request
    came first.
    """
    built = services()
    with built.sessions.begin() as session:
        made = enrolment.enrol(session, PatientFacts(**body.model_dump()), built.settings)
        if once is not None:
            once.remember(session, {"patient_id": made.patient.id})
        note(session, "patient.created", f"patient:{made.patient.id}", email_sent=made.is_mail_accepted)
    return _told(made)


def update(patient_id: int, body: PatientBody, seen: str | None = None) -> Patient:
    """Replace what is known about a patient. Arguments and errors as of `accounts.update_patient`."""
    with services().sessions.begin() as session:
        patient = accounts.update_patient(session, patient_id, PatientFacts(**body.model_dump()), seen)
        note(session, "patient.changed", f"patient:{patient.id}")
    return patient


def reset_password(patient_id: int, once: RepeatableRequest | None = None) -> Enrolled:
    """Give a patient a new generated password, told this once; all their logins end.

    Raises `NotFoundError`, and `RepeatedRequestError` if a twin of the request came first.
    """
    built = services()
    with built.sessions.begin() as session:
        made = enrolment.reset_password(session, patient_id, built.settings)
        if once is not None:
            once.remember(session, {"patient_id": patient_id})
        note(session, "password.reset", f"patient:{made.patient.id}", email_sent=made.is_mail_accepted)
    return _told(made)


def _told(made: Enrolled) -> Enrolled:
    """With its mail on the way: only now, after the commit, is there one to send."""
    if made.mail_job is not None:
        services().queue.wake(JobKind.MAIL, made.mail_job.lane, hints([made.mail_job]))
    return made
