"""Commands for operators: `python -m api.cli COMMAND`; `--help` lists them."""

import argparse
import sys
from collections.abc import Sequence

from sqlalchemy.exc import OperationalError

from api.commands import (
    audit_trail,
    backup,
    database,
    doctor,
    jobs,
    mail,
    reconcile,
    reports,
    retention,
    staff,
)
from shared.errors import BrainScanError
from shared.logs import configure_logging
from shared.settings import SettingsError, load_settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit status: 0 done, 1 refused, 2 wrong configuration."""
    options = _parser().parse_args(arguments)
    try:
        settings = load_settings()
        configure_logging("WARNING")
        return int(options.command(settings, options) or 0)
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except BrainScanError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except OperationalError:
        sys.stderr.write(
            "The database does not answer: check DATABASE_URL or DB_*, and that Postgres runs.\n"
        )
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m api.cli", description=__doc__)
    commands = parser.add_subparsers(required=True)
    for subject in (database, staff, mail, audit_trail, doctor, jobs, reports, reconcile, backup, retention):
        subject.register(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
