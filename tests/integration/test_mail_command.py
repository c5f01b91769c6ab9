"""`send-test-email`: accepted, or what to mend."""

import pytest

from api.cli import main
from stack.ports import LOOPBACK, free_port
from tests.mail_server import LOGIN, PASSWORD, MailServer, make_certificate


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> MailServer:
    made = MailServer(make_certificate(tmp_path_factory.mktemp("certificate")))
    values = {
        "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",  # no database is needed
        "SMTP_SERVER": LOOPBACK,
        "SMTP_PORT": str(made.port),
        "SMTP_SECURITY": "starttls",
        "SMTP_USERNAME": LOGIN,
        "SMTP_PASSWORD": PASSWORD,
        "SMTP_CA_FILE": str(made.certificate.chain),
        "SMTP_TIMEOUT_SECONDS": "20",
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    return made


def test_a_mail_that_is_accepted_is_said_to_be(
    server: MailServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.start()
    try:
        assert main(["send-test-email", "ops@example.org"]) == 0
    finally:
        server.stop()
    assert "accepted" in capsys.readouterr().out
    assert server.recipients == ["ops@example.org"]


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"SMTP_PASSWORD": "wrong"}, "SMTP_PASSWORD"),
        ({"SMTP_CA_FILE": ""}, "SMTP_CA_FILE"),
        ({"SMTP_PORT": str(free_port())}, "does not answer"),
        ({"SMTP_SERVER": ""}, "set SMTP_SERVER"),
    ],
)
def test_what_is_wrong_is_one_sentence_and_a_status(
    server: MailServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, str],
    wanted: str,
) -> None:
    for name, value in changes.items():
        monkeypatch.setenv(name, value)
    server.start()
    try:
        assert main(["send-test-email", "ops@example.org"]) == 1
    finally:
        server.stop()
    (line,) = capsys.readouterr().err.splitlines()
    assert wanted in line
    assert PASSWORD not in line
    assert server.received == []


def test_an_address_that_is_none_is_refused(server: MailServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["send-test-email", "nobody\r\nBcc: eve@example.org"]) == 1
    assert "address" in capsys.readouterr().err
    assert server.received == []
