"""Bringing the database and the stores to agree."""

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from api.commands import CONNECTION_NAME, add_command
from shared.reconciliation import Finding, reconcile
from shared.services import build_services
from shared.settings import Settings

if TYPE_CHECKING:
    from api.commands import Commands

DEFAULT_HOURS = 24.0
EXAMPLES = 3
STATUS_LEFT = 1
ALL_WELL = "Database and stores agree.\n"


@dataclass(slots=True)
class Total:
    """One kind's findings."""

    found: int = 0
    repaired: int = 0
    examples: list[str] = field(default_factory=list)


def register(commands: "Commands") -> None:
    command = add_command(
        commands,
        "reconcile",
        _reconcile,
        "compare the database with Cloudinary, S3 and the local disk, both ways: objects that no row names, "
        "rows whose objects are missing; nothing does this by itself: run it nightly with --repair; safe "
        "while the system works, and to stop and run again; exit status 1 if something is left",
    )
    command.add_argument(
        "--repair",
        action="store_true",
        help="delete what no row names; have missing pictures and PDFs made again by their jobs",
    )
    command.add_argument(
        "--even-if-most-disagrees",
        action="store_true",
        help="repair even where most of what rows name is missing, or most of what is stored is unknown: "
        "without this, such a repair is refused, because it looks like the wrong bucket, folder or database",
    )
    command.add_argument("--json", action="store_true", help="one JSON object that names everything")
    command.add_argument(
        "--older-than",
        type=_hours,
        default=DEFAULT_HOURS,
        metavar="HOURS",
        help="objects written since then are let be: uploads are stored before their rows are (default: 24)",
    )


def _hours(text: str) -> float:
    hours = float(text)
    if not 0 <= hours <= 24 * 366:
        raise argparse.ArgumentTypeError("give hours, from 0 to a year")
    return hours


def _reconcile(settings: Settings, options: argparse.Namespace) -> int:
    findings = reconcile(
        build_services(settings, CONNECTION_NAME),
        options.repair,
        timedelta(hours=options.older_than),
        options.even_if_most_disagrees,
    )
    return _print_json(findings, options.repair) if options.json else _print_lines(findings)


def _print_lines(findings: Iterator[Finding]) -> int:
    totals: dict[str, Total] = defaultdict(Total)
    try:
        for finding in findings:
            total = totals[finding.kind]
            total.found += 1
            total.repaired += finding.is_repaired
            if len(total.examples) < EXAMPLES:
                total.examples.append(finding.name)
    finally:  # a run that is cut short tells what it has done
        for kind, total in totals.items():
            more = ", ..." if total.found > EXAMPLES else ""
            examples = ", ".join(total.examples)
            sys.stdout.write(f"{kind}: {total.found}, repaired {total.repaired} ({examples}{more})\n")
    if not totals:
        sys.stdout.write(ALL_WELL)
    return STATUS_LEFT if any(total.repaired < total.found for total in totals.values()) else 0


def _print_json(findings: Iterator[Finding], repair: bool) -> int:
    rows = [
        {"kind": finding.kind.name.lower(), "name": finding.name, "repaired": finding.is_repaired}
        for finding in findings
    ]
    left = sum(not row["repaired"] for row in rows)
    body = {"agree": left == 0, "repair": repair, "found": len(rows), "left": left, "findings": rows}
    sys.stdout.write(json.dumps(body) + "\n")
    return STATUS_LEFT if left else 0
