"""What mails say, and the messages that carry it. All words of all mails are here."""

from dataclasses import dataclass
from datetime import datetime
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from html import escape

from shared.errors import MailRecipientError

PRODUCT = "Brain Tumor Detection"
_NOT_A_DEVICE = (
    "This is research software, not a medical device. Its results are no diagnosis: "
    "please talk to your doctor about them."
)
_FIRST_LOGIN = (
    "Please choose a password of your own when you sign in for the first time, and delete this mail."
)
_WHY = "You get this mail because an account was made for you, or its password was reset."


@dataclass(frozen=True, slots=True)
class Envelope:
    """Who writes to whom. `sender` and `email` are addresses, `name` is the recipient's, or empty."""

    sender: str
    name: str
    email: str
    message_id: str
    written_at: datetime


def credentials_message(envelope: Envelope, username: str, password: str, portal: str) -> EmailMessage:
    """User name and password of a patient. `portal` is the address to sign in at; empty: it is left out.

    Raises `MailRecipientError` if name or address cannot stand in a header.
    """
    message = _message(envelope, f"Your access to {PRODUCT}")
    facts = {"User name": username, "Password": password} | ({"Sign in at": portal} if portal else {})
    greeting = f"Dear {envelope.name},"
    _fill(
        message,
        "\n\n".join((greeting, _WHY, _lines(facts), _FIRST_LOGIN, _NOT_A_DEVICE)),
        _page(
            _paragraph(greeting),
            _paragraph(_WHY),
            _table(facts),
            _paragraph(_FIRST_LOGIN),
            _paragraph(_NOT_A_DEVICE),
        ),
    )
    return message


def test_message(envelope: Envelope) -> EmailMessage:
    """A mail without any secret, to try the mail server. Raises `MailRecipientError` like the other."""
    message = _message(envelope, f"Test mail of {PRODUCT}")
    words = "This mail shows that the mail server accepts mail from this system. Nothing needs to be done."
    _fill(message, words, _page(_paragraph(words)))
    return message


test_message.__test__ = False  # type: ignore[attr-defined]  # the name is the product's, not a pytest test


def _message(envelope: Envelope, subject: str) -> EmailMessage:
    message = EmailMessage(policy=SMTP)
    message["From"] = envelope.sender
    message["To"] = _recipient(envelope)
    message["Subject"] = subject
    message["Date"] = envelope.written_at
    message["Message-ID"] = envelope.message_id
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's holiday notice answers it
    return message


def _recipient(envelope: Envelope) -> Address:
    local, _, domain = envelope.email.rpartition("@")
    try:
        # IDNA: no mail server needs to know SMTPUTF8 for a domain with an umlaut.
        ascii_domain = domain.encode("idna").decode("ascii")
        return Address(display_name=envelope.name, addr_spec=f"{local}@{ascii_domain}")
    except (ValueError, MessageError, IndexError):  # the last one for an address that ends early
        raise MailRecipientError(
            "The recipient's name or e-mail address cannot be used in a mail: correct it."
        ) from None


def _fill(message: EmailMessage, text: str, html: str) -> None:
    # Quoted-printable: not every server takes eight-bit bodies.
    message.set_content(text + "\n", cte="quoted-printable")
    message.add_alternative(html, subtype="html", cte="quoted-printable")
    message.set_boundary(f"=_{str(message['Message-ID']).strip('<>').partition('@')[0]}")


def _lines(facts: dict[str, str]) -> str:
    return "\n".join(f"{label}: {value}" for label, value in facts.items())


def _page(*parts: str) -> str:
    head = '<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8"></head>\n'
    body = "\n".join(parts)
    return f"{head}<body>\n{body}\n</body>\n</html>\n"


def _paragraph(text: str) -> str:
    return f"<p>{escape(text)}</p>"


def _table(facts: dict[str, str]) -> str:
    rows = "\n".join(
        f'<tr><th align="left">{escape(k)}</th><td>{_cell(v)}</td></tr>' for k, v in facts.items()
    )
    return f"<table>\n{rows}\n</table>"


def _cell(value: str) -> str:
    text = escape(value)
    is_link = value.startswith(("https://", "http://"))
    return f'<a href="{text}">{text}</a>' if is_link else f"<code>{text}</code>"
