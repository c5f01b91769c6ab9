"""What mails say, whatever stands in a name or an address."""

from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.utils import parseaddr

import pytest

from shared.errors import MailRecipientError
from shared.mail_texts import Envelope, credentials_message, test_message

WHEN = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)


def envelope(name: str = "Ada Example", email: str = "ada@example.org") -> Envelope:
    return Envelope("Clinic <clinic@example.org>", name, email, "<1@example.org>", WHEN)


def arrived(message: EmailMessage) -> EmailMessage:
    """The message as a mail program reads it."""
    return message_from_bytes(message.as_bytes(), policy=policy.default)


def content(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    assert part is not None
    return str(part.get_content())


def test_headers_say_who_when_and_that_no_person_wrote_it() -> None:
    message = arrived(credentials_message(envelope(), "patient_1", "s3cret", ""))
    assert message["From"] == "Clinic <clinic@example.org>"
    assert message["To"] == "Ada Example <ada@example.org>"
    assert message["Date"].datetime == WHEN
    assert message["Message-ID"] == "<1@example.org>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert "s3cret" not in str(message["Subject"])


def test_both_forms_hold_the_login_and_what_to_do_with_it() -> None:
    message = arrived(credentials_message(envelope(), "patient_1", "s3cret", "https://portal.example.org"))
    for kind in ("plain", "html"):
        for wanted in (
            "patient_1",
            "s3cret",
            "https://portal.example.org",
            "first time",
            "not a medical device",
        ):
            assert wanted in content(message, kind)


def test_without_a_portal_no_address_is_named() -> None:
    message = arrived(credentials_message(envelope(), "patient_1", "s3cret", ""))
    assert "Sign in at" not in content(message, "plain")
    assert "href" not in content(message, "html")


def test_a_name_cannot_become_markup() -> None:
    name = "<script>alert('x')</script> & Co"
    message = arrived(credentials_message(envelope(name), "u", "p", 'https://x.org/"><script>'))
    assert "<script>" not in content(message, "html")
    assert name in content(message, "plain")


@pytest.mark.parametrize(
    "name", ["Zoë Ünal", "محمد علي", "田中さくら", 'O\'Neill, "Bob" <x>', ("Ünal " * 30).strip()]
)
def test_any_name_arrives_as_it_is(name: str) -> None:
    message = credentials_message(envelope(name), "u", "p", "")
    # The older parser: the newer one puts spaces between the pieces of a long encoded name.
    header = message_from_bytes(message.as_bytes(), policy=policy.compat32)["To"]
    assert parseaddr(str(make_header(decode_header(header)))) == (name, "ada@example.org")
    assert f"Dear {name}," in content(arrived(message), "plain")


@pytest.mark.parametrize(
    ("name", "email"),
    [
        ("Ada\r\nBcc: eve@example.org", "ada@example.org"),
        ("Ada\nSubject: other", "ada@example.org"),
        ("Ada", "ada@example.org\r\nBcc: eve@example.org"),
        ("Ada", "ada@example.org, eve@example.org"),
        ("Ada", "ada..example@example.org"),
        ("Ada", "no address"),
        ("Ada", "ada@"),
    ],
)
def test_no_header_can_be_smuggled_in(name: str, email: str) -> None:
    with pytest.raises(MailRecipientError) as caught:
        credentials_message(envelope(name, email), "u", "p", "")
    assert "eve" not in str(caught.value)


def test_a_domain_with_an_umlaut_is_written_for_any_mail_server() -> None:
    message = credentials_message(envelope(email="ada@bücher.example"), "u", "p", "")
    assert message["To"].addresses[0].addr_spec == "ada@xn--bcher-kva.example"


def test_seven_bits_and_short_lines_pass_every_server() -> None:
    portal = "https://portal.example.org/" + "x" * 2000
    data = credentials_message(envelope("Zoë " * 40), "u", "p", portal).as_bytes()
    assert data.isascii()
    assert max(len(line) for line in data.split(b"\r\n")) <= 998
    assert b"\n" not in data.replace(b"\r\n", b"")


def test_the_test_mail_holds_no_secret_and_needs_no_name() -> None:
    message = arrived(test_message(envelope("")))
    assert message["To"] == "ada@example.org"
    assert "Nothing needs to be done" in content(message, "plain")
