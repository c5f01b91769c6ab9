"""Checking that nobody has tampered with the audit trail."""

import argparse
import sys
from typing import TYPE_CHECKING

from api.commands import CONNECTION_NAME, add_command
from shared import audit
from shared.services import build_services
from shared.settings import Settings

if TYPE_CHECKING:
    from api.commands import Commands


def register(commands: "Commands") -> None:
    command = add_command(
        commands,
        "verify-audit",
        _verify,
        "walk the audit trail's hash chain; note the head that is printed, and give it next time",
    )
    command.add_argument(
        "--head", help="a head that was noted before: rows removed from the end show only by it"
    )


def _verify(settings: Settings, options: argparse.Namespace) -> int:
    with build_services(settings, CONNECTION_NAME).sessions() as session:
        verdict = audit.verify(session, options.head)
    if verdict.broken_at is not None:
        sys.stdout.write(f"BROKEN at row {verdict.broken_at}: {verdict.reason}\n")
        return 1
    sys.stdout.write(f"{verdict.rows} rows, unbroken\nhead: {verdict.head}\n")
    if not verdict.has_known_head:
        sys.stdout.write(
            "BROKEN: the head that was noted is not in the trail; rows were removed from its end\n"
        )
        return 1
    return 0
