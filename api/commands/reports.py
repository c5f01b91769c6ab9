"""Moving reports from the local disk to the report store, and back."""

import argparse
import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from api.commands import CONNECTION_NAME, add_command
from shared import report_moves
from shared.errors import ValidationError
from shared.report_moves import Outcome, Step
from shared.services import build_services
from shared.settings import Settings

if TYPE_CHECKING:
    from api.commands import Commands

NOT_S3 = "Reports are kept in REPORT_FOLDER: set AWS_S3_BUCKET, and REPORT_STORE=s3, to move them to S3."
KEPT = "The files in REPORT_FOLDER are kept."
_INCOMPLETE = (Outcome.MISSING, Outcome.LEFT)


def register(commands: "Commands") -> None:
    command = add_command(
        commands,
        "migrate-reports",
        _migrate_reports,
        "move reports from REPORT_FOLDER to S3, each checked byte for byte; safe to stop and to run again; "
        "local files are kept; exit status 1 if a report's file is missing",
    )
    way = command.add_mutually_exclusive_group()
    way.add_argument("--dry-run", action="store_true", help="say what would be moved, change nothing")
    way.add_argument("--rollback", action="store_true", help="point the rows to the local files again")
    command.add_argument("--json", action="store_true", help="print one JSON object")


def _migrate_reports(settings: Settings, options: argparse.Namespace) -> int:
    if settings.chosen_report_store != "s3":
        raise ValidationError(NOT_S3)
    services = build_services(settings, CONNECTION_NAME)
    if options.rollback:
        steps = report_moves.restore_all(services)
    else:
        steps = report_moves.move_all(services, options.dry_run)
    return _print_json(steps, options) if options.json else _print_lines(steps, options)


def _print_lines(steps: Iterator[Step], options: argparse.Namespace) -> int:
    """A line for each report as it is done, so that a run that is stopped has said how far it came."""
    would_be = "would be " if options.dry_run else ""
    counts = dict.fromkeys(_outcomes(options), 0)
    for step in steps:
        counts[step.outcome] += 1
        word = would_be + step.outcome if step.outcome not in _INCOMPLETE else step.outcome
        sys.stdout.write(f"{step.report_id}: {word}\n")
        sys.stdout.flush()
    total = ", ".join(f"{count} {outcome}" for outcome, count in counts.items())
    sys.stdout.write(f"Reports: {total}. {KEPT}\n")
    return int(any(counts.get(outcome) for outcome in _INCOMPLETE))


def _print_json(steps: Iterator[Step], options: argparse.Namespace) -> int:
    ids: dict[str, list[str]] = {outcome: [] for outcome in _outcomes(options)}
    for step in steps:
        ids[step.outcome].append(step.report_id)
    body = {**ids, "dry_run": options.dry_run, "local_files": "kept"}
    sys.stdout.write(json.dumps(body) + "\n")
    return int(any(ids.get(outcome) for outcome in _INCOMPLETE))


def _outcomes(options: argparse.Namespace) -> tuple[Outcome, Outcome]:
    return (Outcome.RESTORED, Outcome.LEFT) if options.rollback else (Outcome.MOVED, Outcome.MISSING)
