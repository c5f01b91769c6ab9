"""Sending one mail over SMTP: encrypted, with the server's certificate checked, and errors that are ours.

What may pass is a retryable `MailError`; what a person must mend is not. No error holds an address, a
password or the server's own words, which often repeat them.
"""

import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email.message import EmailMessage

from shared.errors import (
    MailDeferredError,
    MailError,
    MailLoginError,
    MailRecipientError,
    MailSenderError,
    MailTlsError,
    MailUnreachableError,
)
from shared.logs import get_logger
from shared.settings import Settings

FAREWELL_SECONDS = 2.0

log = get_logger(__name__)


def send(settings: Settings, message: EmailMessage) -> None:
    """Hand the message to the mail server; returns once the server has taken it.

    Raises `MailError`: retryable for a server that does not answer or asks to wait, and a subclass of its
    own for each thing that has to be mended.
    """
    with _connected(settings) as server, _translated():
        server.send_message(message)


def check(settings: Settings) -> None:
    """Connect, encrypt and log in as for a mail, and send none. Raises `MailError`."""
    with _connected(settings):
        pass


def require_server(settings: Settings) -> str:
    """The mail server's name. Raises `MailError` if none is configured."""
    if settings.smtp_server is None:
        raise MailError("No mail server is configured: set SMTP_SERVER.")
    return settings.smtp_server


@contextmanager
def _connected(settings: Settings) -> Iterator[smtplib.SMTP]:
    """A server that is ready to take a mail. Every part of the talk has `smtp_timeout_seconds`."""
    host = require_server(settings)
    with _translated():
        server = _connect(settings, host)
    try:
        with _translated():
            _log_in(server, settings)
        yield server
        _say_goodbye(server)
    finally:
        server.close()


def _connect(settings: Settings, host: str) -> smtplib.SMTP:
    port, seconds = settings.smtp_port, settings.smtp_timeout_seconds
    if settings.chosen_smtp_security == "tls":
        return smtplib.SMTP_SSL(host, port, timeout=seconds, context=_trust(settings))
    if settings.chosen_smtp_security == "none" and settings.is_production:
        raise MailTlsError("Nothing is sent in clear in production: set SMTP_SECURITY to starttls or tls.")
    return smtplib.SMTP(host, port, timeout=seconds)


def _log_in(server: smtplib.SMTP, settings: Settings) -> None:
    security = settings.chosen_smtp_security
    server.ehlo_or_helo_if_needed()
    if security == "starttls":
        _start_tls(server, settings)
    if settings.smtp_username is None or settings.smtp_password is None:
        return
    if security == "none":
        raise MailLoginError(
            "The mail password is not sent in clear: set SMTP_SECURITY to starttls or tls, or leave out "
            "SMTP_USERNAME and SMTP_PASSWORD."
        )
    try:
        server.login(settings.smtp_username, settings.smtp_password.get_secret_value())
    except smtplib.SMTPServerDisconnected:
        raise
    except smtplib.SMTPResponseException as error:
        if _is_passing(error.smtp_code):
            raise
        raise MailLoginError(
            "The mail server refuses the login: check SMTP_USERNAME and SMTP_PASSWORD."
        ) from None
    except smtplib.SMTPException:  # none is offered, or none that the library knows
        raise MailLoginError(
            "The mail server offers no login on this port: check SMTP_PORT, or leave out SMTP_USERNAME and "
            "SMTP_PASSWORD."
        ) from None


def _start_tls(server: smtplib.SMTP, settings: Settings) -> None:
    try:
        server.starttls(context=_trust(settings))
    except smtplib.SMTPNotSupportedError:
        raise MailTlsError(
            "The mail server offers no encryption (STARTTLS), so nothing was sent: check SMTP_PORT and "
            "SMTP_SECURITY."
        ) from None
    server.ehlo_or_helo_if_needed()


def _trust(settings: Settings) -> ssl.SSLContext:
    """The system's certificates and those of SMTP_CA_FILE. Host names are checked; there is no way around."""
    context = ssl.create_default_context()
    if settings.smtp_ca_file:
        try:
            context.load_verify_locations(settings.smtp_ca_file)
        except OSError:  # ssl.SSLError, for a file without certificates, is one too
            raise MailTlsError(
                "SMTP_CA_FILE cannot be read: name a file of certificates in PEM format."
            ) from None
    return context


@contextmanager
def _translated() -> Iterator[None]:
    """The library's errors as ours. Its texts stay out of the chain: they hold addresses."""
    try:
        yield
    except ssl.SSLCertVerificationError:
        raise MailTlsError(
            "The mail server's certificate is not trusted: check SMTP_SERVER, or name its authority in "
            "SMTP_CA_FILE."
        ) from None
    except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
        raise _unreachable() from None
    except ssl.SSLError:
        raise MailTlsError(
            "No encrypted connection to the mail server came about: check SMTP_PORT and SMTP_SECURITY."
        ) from None
    except smtplib.SMTPException as error:
        raise _refusal(error) from None
    except OSError:  # refused, unknown host, timed out
        raise _unreachable() from None


def _refusal(error: smtplib.SMTPException) -> MailError:
    code = _code_of(error)
    log.info("mail server refused", cause=type(error).__name__, status=code)
    if isinstance(error, (smtplib.SMTPServerDisconnected, smtplib.SMTPConnectError)):
        return _unreachable()
    if code is not None and _is_passing(code):
        return MailDeferredError("The mail server asks to try again later.")
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return MailRecipientError(
            "The mail server refuses the recipient's e-mail address: correct it, then reset the password."
        )
    if isinstance(error, smtplib.SMTPSenderRefused):
        return MailSenderError(
            "The mail server does not let this system send from its address: check SMTP_FROM, or whether "
            "it wants SMTP_USERNAME and SMTP_PASSWORD."
        )
    return MailError("The mail server refuses the mail: its log says why.")


def _code_of(error: smtplib.SMTPException) -> int | None:
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return min(int(code) for code, _ in error.recipients.values())
    return error.smtp_code if isinstance(error, smtplib.SMTPResponseException) else None


def _is_passing(code: int) -> bool:
    return 400 <= code < 500


def _unreachable() -> MailUnreachableError:
    return MailUnreachableError(
        "The mail server does not answer: check SMTP_SERVER, SMTP_PORT and SMTP_SECURITY, and that it runs."
    )


def _say_goodbye(server: smtplib.SMTP) -> None:
    """QUIT, briefly. The mail is taken already: whatever goes wrong here must not have it sent again."""
    with suppress(smtplib.SMTPException, OSError):
        if server.sock is not None:
            server.sock.settimeout(FAREWELL_SECONDS)
        server.quit()
