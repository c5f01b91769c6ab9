"""Commands for operators: `python -m api.cli migrate | add-admin NAME`."""

import argparse
import sys
from collections.abc import Sequence

from shared import accounts
from shared.database import make_engine
from shared.errors import BrainScanError
from shared.logs import configure_logging
from shared.migrations import upgrade
from shared.services import build_services
from shared.settings import Settings, SettingsError, load_settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit status: 0 done, 1 refused, 2 wrong configuration."""
    options = _parser().parse_args(arguments)
    try:
        settings = load_settings()
        configure_logging("WARNING")
        options.command(settings, options)
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except BrainScanError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m api.cli", description=__doc__)
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("migrate", help="bring the database to the newest schema")
    command.set_defaults(command=_migrate)
    command = commands.add_parser(
        "add-admin",
        help="create an admin; the password comes from ADMIN_PASSWORD or is generated and shown once",
    )
    command.add_argument("username")
    command.add_argument("--email")
    command.set_defaults(command=_add_admin)
    return parser


def _migrate(settings: Settings, _: argparse.Namespace) -> None:
    upgrade(make_engine(settings))
    sys.stdout.write("The database schema is up to date.\n")


def _add_admin(settings: Settings, options: argparse.Namespace) -> None:
    given = settings.admin_password.get_secret_value() if settings.admin_password else None
    with build_services(settings).sessions.begin() as session:
        credentials = accounts.add_admin(session, options.username, options.email, given)
    sys.stdout.write(f"username: {credentials.username}\n")
    if given is None:
        sys.stdout.write(f"password: {credentials.password}\n")


if __name__ == "__main__":
    sys.exit(main())
