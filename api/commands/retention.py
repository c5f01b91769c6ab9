"""Removing records that are kept no longer, and those of patients who ask for it."""

import argparse
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from api.commands import CONNECTION_NAME, add_command
from shared import retention
from shared.retention import Limits
from shared.services import build_services
from shared.settings import Settings

if TYPE_CHECKING:
    from api.commands import Commands

NO_LIMIT = (
    "Nothing is removed: no limit is set. Set RETENTION_SCAN_DAYS, RETENTION_REPORT_DAYS, "
    "RETENTION_PUBLIC_DAYS or RETENTION_WORK_DAYS, or give --older-than.\n"
)


def register(commands: "Commands") -> None:
    ageing = add_command(
        commands,
        "retention",
        _retain,
        "say what is older than RETENTION_*_DAYS, and remove it with --apply: rows first, then objects; safe "
        "while the system works, and to stop and run again; patients on hold and the audit trail are left",
    )
    ageing.add_argument(
        "--older-than", type=_days, metavar="DAYS", help="for scans and reports, in place of the settings"
    )
    way = ageing.add_mutually_exclusive_group()
    way.add_argument("--dry-run", action="store_true", help="only say how much would go: the default")
    way.add_argument("--apply", action="store_true", help="remove it for good")
    for name, run, text in (
        ("hold-patient", _hold, "have retention and forget-patient leave a patient's records"),
        ("release-patient", _release, "end hold-patient"),
        ("forget-patient", _forget, "remove a patient with all scans, pictures, reports and mails, for good"),
    ):
        command = add_command(commands, name, run, text)
        command.add_argument("patient", help="number, or the id that begins with P")
        if run is _forget:
            command.add_argument("--yes", action="store_true", help="do it; without this it only says what")


def _days(text: str) -> float:
    days = float(text)
    if not 1 <= days <= 366 * 200:
        raise argparse.ArgumentTypeError("give days, at least 1")
    return days


def _retain(settings: Settings, options: argparse.Namespace) -> None:
    limits = Limits.of(settings)
    if options.older_than is not None:
        limits = replace(limits, scans=options.older_than, reports=options.older_than)
    if not limits.are_set:
        sys.stdout.write(NO_LIMIT)
        return
    services = build_services(settings, CONNECTION_NAME)
    if options.apply:
        counts, word = retention.apply(services, limits), "removed"
    else:
        counts, word = retention.count_due(services, limits), "would be removed"
    for kind, number in counts.items():
        sys.stdout.write(f"{kind}: {number} {word}\n")


def _hold(settings: Settings, options: argparse.Namespace) -> None:
    _set_hold(settings, options.patient, is_held=True)


def _release(settings: Settings, options: argparse.Namespace) -> None:
    _set_hold(settings, options.patient, is_held=False)


def _set_hold(settings: Settings, name: str, *, is_held: bool) -> None:
    with build_services(settings, CONNECTION_NAME).sessions.begin() as session:
        retention.hold(session, retention.find_patient(session, name), is_held)
    sys.stdout.write("The records are on hold.\n" if is_held else "The records are no longer on hold.\n")


def _forget(settings: Settings, options: argparse.Namespace) -> int:
    services = build_services(settings, CONNECTION_NAME)
    with services.sessions() as session:
        patient = retention.find_patient(session, options.patient)
    if not options.yes:
        sys.stdout.write(f"Patient {patient.patient_id} would be removed for good: repeat with --yes.\n")
        return 1
    forgotten = retention.forget(services, patient.id)
    sys.stdout.write(
        f"removed: {forgotten.scans} scans, {forgotten.reports} reports, {forgotten.mails} mails, "
        f"{forgotten.objects} objects\n"
    )
    for address in forgotten.left_at:
        sys.stdout.write(f"of the replaced system, delete it there: {address}\n")
    return 0
