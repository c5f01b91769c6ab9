"""Would the mail server take a mail? None is sent."""

from collections.abc import Iterator

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from shared import mails, smtp
from shared.doctor.finding import Finding, ok, problem, warning
from shared.errors import MailError
from shared.settings import Settings

NAME = "mail"


def check(settings: Settings, sessions: sessionmaker[Session]) -> Iterator[Finding]:
    if not settings.has_mail:
        yield ok(NAME, "not configured: no mail is sent, passwords are shown once (SMTP_SERVER changes that)")
        return
    try:
        smtp.check(settings)
    except MailError as error:
        yield problem(NAME, str(error))
        return
    yield ok(NAME, "the mail server answers, encrypts and takes the login" + _login(settings))
    code = _last_problem(sessions)
    if code is not None:
        yield warning(
            NAME,
            f"The newest mail failed with {code}: try `python -m api.cli send-test-email`, then reset the "
            "password of its patient.",
        )


def _login(settings: Settings) -> str:
    if settings.chosen_smtp_security == "none":
        return " (in clear: for development only)"
    return "" if settings.smtp_username else " (there is none)"


def _last_problem(sessions: sessionmaker[Session]) -> str | None:
    try:
        with sessions() as session:
            return mails.last_problem(session)
    except SQLAlchemyError:
        return None  # the database's own line says what is wrong
