"""Backing the system up, and bringing it back."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from api.commands import CONNECTION_NAME, add_command
from shared.backup import (
    Brought,
    Manifest,
    Restored,
    bring_objects,
    read_manifest,
    restore,
    take_backup,
)
from shared.services import build_services
from shared.settings import Settings

if TYPE_CHECKING:
    from api.commands import Commands

STATUS_INCOMPLETE = 1


def register(commands: "Commands") -> None:
    taking = add_command(
        commands,
        "backup",
        _backup,
        "write a consistent dump of the database and an inventory of all objects into a new folder, while "
        "the system works; it holds patients' data and password hashes but no settings: keep SECRET_KEY too",
    )
    taking.add_argument("folder", type=Path, help="is made; must not exist")
    taking.add_argument("--objects", action="store_true", help="copy pictures and PDFs into it too")
    bringing = add_command(
        commands,
        "restore",
        _restore,
        "load a backup into an empty database, bring its schema up to date, and say which objects the stores "
        "lack; stop the API and the workers first; exit status 1 if something is missing or was refused",
    )
    bringing.add_argument("folder", type=Path, help="what `backup` made")
    only = bringing.add_mutually_exclusive_group()
    only.add_argument("--check", action="store_true", help="only read the backup and say if it is whole")
    only.add_argument(
        "--only-objects",
        action="store_true",
        help="leave the database as it is: put back objects that its rows name and the stores lack",
    )


def _backup(settings: Settings, options: argparse.Namespace) -> None:
    manifest = take_backup(build_services(settings, CONNECTION_NAME), options.folder, options.objects)
    sys.stdout.write(_described(manifest))


def _restore(settings: Settings, options: argparse.Namespace) -> int:
    manifest = read_manifest(options.folder)
    sys.stdout.write(_described(manifest))
    if options.check:
        sys.stdout.write("The backup is whole.\n")
        return 0
    services = build_services(settings, CONNECTION_NAME)
    if options.only_objects:
        return _tell_objects(bring_objects(services, options.folder, manifest))
    return _tell(restore(services, options.folder, manifest))


def _described(manifest: Manifest) -> str:
    inventory = manifest.inventory
    text = (
        f"taken at {manifest.taken_at:%Y-%m-%d %H:%M:%S} UTC by version {manifest.product_version}, "
        f"schema {manifest.schema_revision}\n"
        f"{manifest.rows} rows; {inventory.objects} objects, "
        f"{'copied' if manifest.has_objects else 'listed only'}\n"
    )
    if inventory.missing:
        text += f"{inventory.missing} of them were missing in the stores: run reconcile\n"
    if inventory.untold:
        text += f"{inventory.untold} rows of the replaced system name files that are not in it: copy those\n"
    return text


def _tell(restored: Restored) -> int:
    verdict = restored.verdict
    is_whole = verdict.broken_at is None and verdict.has_known_head
    sys.stdout.write(
        f"{restored.rows} rows restored, {restored.queued_again} running jobs queued again, logins ended\n"
        f"audit trail: {verdict.rows} rows, {'unbroken' if is_whole else 'BROKEN'}\n"
    )
    status = _tell_objects(restored.objects)
    return status if is_whole else STATUS_INCOMPLETE


def _tell_objects(objects: Brought) -> int:
    sys.stdout.write(f"objects brought back: {objects.back}, missing: {objects.missing}\n")
    for role, key in objects.examples:
        sys.stdout.write(f"  {role} {key}\n")
    if objects.missing:
        sys.stdout.write(
            "Bring those back: reconcile names them all; with --repair it has pictures and PDFs made again.\n"
        )
    return STATUS_INCOMPLETE if objects.missing else 0
