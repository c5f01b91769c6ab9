"""Accounts of the staff."""

import argparse
import sys
from typing import TYPE_CHECKING

from api.commands import add_command
from shared import accounts
from shared.services import build_services
from shared.settings import Settings

if TYPE_CHECKING:
    from api.commands import Commands


def register(commands: "Commands") -> None:
    command = add_command(
        commands,
        "add-admin",
        _add_admin,
        "create an admin; the password comes from ADMIN_PASSWORD or is generated and shown once",
    )
    command.add_argument("username")
    command.add_argument("--email")


def _add_admin(settings: Settings, options: argparse.Namespace) -> None:
    given = settings.admin_password.get_secret_value() if settings.admin_password else None
    with build_services(settings).sessions.begin() as session:
        credentials = accounts.add_admin(session, options.username, options.email, given)
    sys.stdout.write(f"username: {credentials.username}\n")
    if given is None:
        sys.stdout.write(f"password: {credentials.password}\n")
