"""How mail is sent."""

from email.utils import parseaddr
from typing import Literal

from pydantic import BaseModel, Field, SecretStr

from shared.configuration.addresses import is_host, is_web_address

IMPLICIT_TLS_PORT = 465


class MailSettings(BaseModel):
    """The SMTP server. Without SMTP_SERVER no mail is sent, and answers say so."""

    smtp_server: str | None = Field(None, description="mail server; empty: no mail is sent")
    smtp_port: int = Field(587, ge=1, le=65_535, description="587: STARTTLS, 465: TLS from the start")
    smtp_username: str | None = Field(None, description="mail login")
    smtp_password: SecretStr | None = Field(None, description="mail password")
    smtp_from: str | None = Field(None, description="sender address; empty: SMTP_USERNAME")
    smtp_security: Literal["auto", "starttls", "tls", "none"] = Field(
        "auto", description="auto: by the port; none sends in clear and is refused in production"
    )
    smtp_ca_file: str | None = Field(
        None, description="certificates to trust beside the system's, for a mail server of your own"
    )
    smtp_timeout_seconds: float = Field(15, gt=0, description="patience with the mail server")
    portal_url: str = Field("", description="address of the patient portal in mails; empty: PUBLIC_URL")

    @property
    def has_mail(self) -> bool:
        return self.smtp_server is not None

    @property
    def mail_sender(self) -> str:
        return self.smtp_from or self.smtp_username or ""

    @property
    def chosen_smtp_security(self) -> Literal["starttls", "tls", "none"]:
        if self.smtp_security != "auto":
            return self.smtp_security
        return "tls" if self.smtp_port == IMPLICIT_TLS_PORT else "starttls"

    def mail_problems(self, is_production: bool) -> list[str]:
        problems = []
        if self.portal_url and not is_web_address(self.portal_url):
            problems.append("PORTAL_URL: must be an http:// or https:// address")
        if self.smtp_server is None:
            return problems
        if not is_host(self.smtp_server):
            problems.append("SMTP_SERVER: must be a host name or an IP address; the port goes into SMTP_PORT")
        if not _is_sender(self.mail_sender):
            problems.append("SMTP_FROM: the sender's e-mail address (or set SMTP_USERNAME to one)")
        if (self.smtp_username is None) != (self.smtp_password is None):
            problems.append("SMTP_USERNAME and SMTP_PASSWORD: set both or neither")
        if is_production and self.smtp_security == "none":
            problems.append("SMTP_SECURITY: mails hold passwords, production needs starttls or tls")
        return problems


def _is_sender(text: str) -> bool:
    """True for `someone@example.org`, with or without a name before it in the usual way."""
    account, _, domain = parseaddr(text)[1].rpartition("@")
    return bool(account) and is_host(domain) and not any(character in text for character in "\r\n")
