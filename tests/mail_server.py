"""A real SMTP server on loopback that tests tell what to answer, and its self-made certificate."""

import ipaddress
import logging
import socket
import ssl
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from stack.ports import LOOPBACK, free_port

LOGIN, PASSWORD = "clinic@example.org", "the mail password"


@dataclass(frozen=True)
class Certificate:
    """PEM files; `chain` is also what a client has to trust."""

    chain: Path
    key: Path

    def context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.chain, self.key)
        return context


def make_certificate(folder: Path, address: str = LOOPBACK) -> Certificate:
    """A certificate that only those trust who are told to."""
    key = ec.generate_private_key(ec.SECP256R1())
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "made-up mail server")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(names, critical=False)
        .sign(key, hashes.SHA256())
    )
    made = Certificate(folder / f"{address}.crt", folder / f"{address}.key")
    made.chain.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    made.key.write_bytes(key.private_bytes(pem, form, serialization.NoEncryption()))
    return made


@dataclass
class MailServer:
    """Takes mail from who is logged in over TLS. Answers to each command can be set; each is used once."""

    certificate: Certificate
    security: str = "starttls"
    port: int = field(default_factory=free_port)
    passwords: dict[str, str] = field(default_factory=lambda: {LOGIN: PASSWORD})
    answers: dict[str, deque[str]] = field(default_factory=dict)
    received: list[EmailMessage] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    logins: list[bool] = field(default_factory=list)
    _controller: Any = None

    def answer(self, command: str, *texts: str) -> None:
        self.answers[command] = deque(texts)

    def start(self) -> None:
        logging.getLogger("mail.log").setLevel(logging.CRITICAL)  # the server's own, not the product's
        tls = self.certificate.context()
        is_implicit = self.security == "tls"
        self._controller = Controller(
            self,
            hostname=LOOPBACK,
            port=self.port,
            ssl_context=tls if is_implicit else None,
            tls_context=None if is_implicit else tls,
            require_starttls=not is_implicit,
            auth_require_tls=not is_implicit,  # it does not see that the whole connection is encrypted
            authenticator=self._authenticate,
        )
        self._controller.start()

    def stop(self) -> None:
        if self._controller is not None:
            self._controller.stop()
            self._controller = None

    def _authenticate(
        self, _server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any
    ) -> AuthResult:
        is_right = self.passwords.get(data.login.decode()) == data.password.decode()
        self.logins.append(is_right)
        return AuthResult(success=is_right, handled=False)

    async def handle_MAIL(self, _server: Any, session: Any, envelope: Any, address: str, _: Any) -> str:  # noqa: N802
        if not session.authenticated:
            return "530 5.7.0 Authentication required"
        envelope.mail_from = address
        return self._next("MAIL", "250 OK")

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, _: Any) -> str:  # noqa: N802
        envelope.rcpt_tos.append(address)
        return self._next("RCPT", "250 OK")

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        answer = self._next("DATA", "250 OK")
        self.raw.append(envelope.content)
        self.received.append(message_from_bytes(envelope.content, policy=policy.SMTP))
        self.recipients += envelope.rcpt_tos
        return answer

    async def handle_QUIT(self, _server: Any, _session: Any, _envelope: Any) -> str:  # noqa: N802
        return self._next("QUIT", "221 Bye")

    def _next(self, command: str, usual: str) -> str:
        answers = self.answers.get(command)
        return answers.popleft() if answers else usual


@contextmanager
def server_without_tls() -> Iterator[tuple[int, list[bytes]]]:
    """A server that offers logins in clear and no STARTTLS: its port, and the lines that clients sent it."""
    lines: list[bytes] = []
    listener = socket.create_server((LOOPBACK, 0))

    def talk() -> None:
        connection, _ = listener.accept()
        with connection, connection.makefile("rwb") as stream:
            stream.write(b"220 made-up\r\n")
            stream.flush()
            for line in stream:
                lines.append(line.strip())
                greets = line.upper().startswith(b"EHLO")
                stream.write(b"250-made-up\r\n250 AUTH PLAIN LOGIN\r\n" if greets else b"250 OK\r\n")
                stream.flush()

    thread = threading.Thread(target=talk, daemon=True)
    thread.start()
    with listener:
        yield listener.getsockname()[1], lines
        thread.join(5)


@contextmanager
def silent_server() -> Iterator[int]:
    """A port that takes connections and never says a word."""
    with socket.create_server((LOOPBACK, 0)) as listener:
        yield listener.getsockname()[1]
