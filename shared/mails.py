"""Asking for mails, and what becomes of them. Functions take a session and never commit."""

import secrets
import uuid
from datetime import timedelta
from email.message import EmailMessage
from email.utils import parseaddr

from sqlalchemy import func, or_, select, update
from sqlalchemy.orm import Session, joinedload

from shared import job_control, job_events, jobs
from shared.attempts import Claim
from shared.errors import (
    MailExpiredError,
    MailLoginError,
    MailSenderError,
    MailTlsError,
    MailUnreachableError,
)
from shared.mail_texts import Envelope, credentials_message
from shared.models import Job, JobKind, JobStatus, Lane, Mail, MailTemplate, Patient
from shared.secrets_at_rest import decrypt, encrypt
from shared.settings import Settings

SECRET_HOURS = 24.0
MIN_ATTEMPTS = 20  # more than an hour with the default pauses: greylists and restarts of mail servers pass
CONFIGURATION_PROBLEMS = frozenset(
    error.code for error in (MailLoginError, MailTlsError, MailUnreachableError, MailSenderError)
)
_PURPOSE = "mail"


def queue_credentials(session: Session, patient: Patient, password: str, settings: Settings) -> Job | None:
    """Make the mail that tells a patient user name and password, and its job; the caller commits and wakes.

    None when no mail server is configured. Mails of the patient that still wait are of no use any more: they
    are cancelled and their password is forgotten.
    """
    if not settings.has_mail:
        return None
    _drop_waiting(session, patient)
    mail = Mail(
        template=MailTemplate.CREDENTIALS,
        patient_id=patient.id,
        message_id=new_message_id(settings),
        secret=encrypt(password, settings.secret_key.get_secret_value(), _PURPOSE),
    )
    session.add(mail)
    session.flush()
    job = Job(id=uuid.uuid4(), kind=JobKind.MAIL, lane=Lane.INTERACTIVE, mail_id=mail.id, mail=mail)
    session.add(job)
    session.flush()
    job_events.created(session, [job.id])
    return job


def _drop_waiting(session: Session, patient: Patient) -> None:
    waiting = (
        select(Job.id)
        .join(Job.mail)
        .where(Mail.patient_id == patient.id, Job.status == JobStatus.QUEUED)
        .with_for_update(of=Job, skip_locked=True)  # one that is just being claimed goes out
    )
    for job_id in session.scalars(waiting).all():
        job_control.cancel(session, job_id)
    session.execute(
        update(Mail)
        .where(Mail.patient_id == patient.id, Mail.secret.is_not(None))
        .values(secret=None)
        .execution_options(synchronize_session=False)
    )


def new_message_id(settings: Settings) -> str:
    """A Message-ID in the sender's domain."""
    _, _, domain = parseaddr(settings.mail_sender)[1].rpartition("@")
    return f"<{secrets.token_hex(16)}@{domain}>"


def is_accepting(session: Session, settings: Settings) -> bool:
    """True if a mail queued now can be expected to go out.

    False when no mail server is configured, or when the newest mail that was tried met a server that is
    unreachable, untrusted, or refuses this system: a person has to mend the configuration first.
    """
    return settings.has_mail and last_problem(session) is None


def last_problem(session: Session) -> str | None:
    """The code that says what is wrong with the mail server, by the newest mail that was tried."""
    was_tried = or_(Job.status == JobStatus.SUCCEEDED, Job.error_code.is_not(None))
    code = session.scalar(
        select(Job.error_code)
        .where(Job.mail_id.is_not(None), Job.status != JobStatus.CANCELLED, was_tried)
        .order_by(Job.mail_id.desc())
        .limit(1)
    )
    return code if code in CONFIGURATION_PROBLEMS else None


def max_attempts(settings: Settings) -> int:
    """How often a mail is tried before it fails for good, whether its attempts fail or crash."""
    return max(settings.max_attempts, MIN_ATTEMPTS)


def load_for_sending(session: Session, claim: Claim) -> Mail:
    """The mail with its patient."""
    query = select(Mail).options(joinedload(Mail.patient)).where(Mail.id == claim.subject_id)
    return session.execute(query).scalar_one()


def message_of(mail: Mail, settings: Settings) -> EmailMessage:
    """What is sent; the same on every attempt.

    Raises `MailExpiredError` if the password is no longer kept, `SecretError` if it cannot be read and
    `MailRecipientError` if the patient's name or address cannot be used.
    """
    if mail.secret is None:
        raise MailExpiredError(
            "The password for this mail is no longer kept, because a newer one replaced it or the mail "
            "waited for a day: reset the password to send another."
        )
    password = decrypt(mail.secret, settings.secret_key.get_secret_value(), _PURPOSE)
    patient = mail.patient
    address = patient.email or ""  # old records may lack one
    envelope = Envelope(settings.mail_sender, patient.name, address, mail.message_id, mail.created_at)
    portal = settings.portal_url or settings.public_url
    return credentials_message(envelope, patient.username, password, portal)


def record_sent(session: Session, claim: Claim) -> bool:
    """End the job and forget the password. False, and nothing written, if the claim was lost."""
    if not jobs.succeed(session, [claim]):
        return False
    session.execute(
        update(Mail)
        .where(Mail.id == claim.subject_id)
        .values(sent_at=func.now(), secret=None)
        .execution_options(synchronize_session=False)
    )
    return True


def forget_secrets(session: Session) -> int:
    """Remove passwords of mails that could not be sent for a day. Returns how many."""
    removed = session.scalars(
        update(Mail)
        .where(Mail.secret.is_not(None), Mail.created_at < func.now() - timedelta(hours=SECRET_HOURS))
        .values(secret=None)
        .returning(Mail.id)
        .execution_options(synchronize_session=False)
    )
    return len(removed.all())
