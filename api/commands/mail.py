"""Trying the mail server."""

import argparse
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from api.commands import add_command
from shared import mails, smtp
from shared.mail_texts import Envelope, test_message
from shared.settings import Settings

if TYPE_CHECKING:
    from api.commands import Commands


def register(commands: "Commands") -> None:
    command = add_command(
        commands, "send-test-email", _send_test, "send one mail now, and say what the mail server answers"
    )
    command.add_argument("address", metavar="ADDRESS")


def _send_test(settings: Settings, options: argparse.Namespace) -> None:
    """Raises `MailError`, whose sentence says what to mend."""
    smtp.require_server(settings)
    envelope = Envelope(
        settings.mail_sender, "", options.address, mails.new_message_id(settings), datetime.now(UTC)
    )
    smtp.send(settings, test_message(envelope))
    sys.stdout.write("The mail server accepted the mail.\n")
