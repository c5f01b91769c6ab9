"""Do the stores take, give and remove an object, and is there room on the local disks?"""

import io
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from shared.doctor.finding import Finding, ok, problem, warning
from shared.errors import BrainScanError
from shared.settings import Settings
from shared.storage import ObjectStore
from shared.storage.choice import choose_stores

MIN_FREE_GB = 2
GB = 1e9
_VARIABLES = {"cloudinary": "CLOUDINARY_*", "s3": "AWS_*"}


@dataclass(frozen=True, slots=True)
class _Role:
    name: str
    vendor: str
    folder: Path
    variable: str
    store: ObjectStore


def check(settings: Settings) -> Iterator[Finding]:
    try:
        roles = _roles(settings)
    except BrainScanError as error:
        yield problem("stores", str(error))
        return
    for role in roles:
        yield _round_trip(role)
    for role in roles:
        if role.vendor == "local":
            yield from _room(role)


def _roles(settings: Settings) -> list[_Role]:
    stores = choose_stores(settings)
    roles = [
        _Role(
            "image store", settings.chosen_image_store, settings.image_folder, "IMAGE_FOLDER", stores.images
        ),
        _Role(
            "report store",
            settings.chosen_report_store,
            settings.report_folder,
            "REPORT_FOLDER",
            stores.reports,
        ),
    ]
    if stores.staging is not None:
        roles.append(
            _Role(
                "staging store",
                settings.staging_store,
                settings.staging_folder,
                "STAGING_FOLDER",
                stores.staging,
            )
        )
    return roles


def _round_trip(role: _Role) -> Finding:
    key, picture = f"doctor-{secrets.token_hex(8)}.png", _dot()
    look_at = _VARIABLES.get(role.vendor, f"{role.variable}, its owner and the room on its disk")
    if not role.store.is_up():
        return problem(role.name, f"The {role.vendor} store takes nothing now: check {look_at}.")
    try:
        role.store.put(key, picture, "image/png")
        try:
            given = role.store.get(key)
        finally:
            role.store.delete(key)
    except BrainScanError as error:
        return problem(role.name, f"{error} Check {look_at}.")
    if given != picture:
        return problem(role.name, f"The {role.vendor} store gave other bytes than it took: check {look_at}.")
    return ok(role.name, f"{role.vendor}: an object was written, read and removed")


def _dot() -> bytes:
    """A picture, because Cloudinary takes nothing else."""
    file = io.BytesIO()
    Image.new("L", (1, 1)).save(file, "PNG")
    return file.getvalue()


def _room(role: _Role) -> Iterator[Finding]:
    name = role.name.replace("store", "disk")
    try:
        free = shutil.disk_usage(role.folder).free
    except OSError:
        return  # the store's own line says what is wrong with its folder
    if free < MIN_FREE_GB * GB:
        yield warning(
            name, f"Only {free / GB:.1f} GB are free: make room, or move {role.variable} to a larger disk."
        )
    else:
        yield ok(name, f"{free / GB:.0f} GB free")
