"""What a backup says about itself. One that does not agree with it is refused."""

import hashlib
import re
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.backup.parts import Line, Part, check_file, check_part, create, lines_of
from shared.errors import BackupError
from shared.storage.choice import IMAGES, REPORTS, STAGING
from shared.storage.keys import is_key

MANIFEST, SEAL = "manifest.json", "manifest.sha256"
OBJECTS = "objects"
_SEAL = re.compile(r"([0-9a-f]{64})  manifest\.json\n")
_NAME = r"^[a-z_][a-z0-9_]*$"


class TablePart(Part):
    """One table's rows, as `COPY` wrote them."""

    table: str = Field(pattern=_NAME)
    columns: tuple[str, ...]
    rows: int


class Inventory(Part):
    """The objects that rows name, a line of JSON each, ordered by role and key.

    `missing` were not in their store. `untold` rows were taken over from the replaced system and name places
    that this system does not keep: they are not in the inventory.
    """

    objects: int
    missing: int
    untold: int


class Manifest(BaseModel):
    """`tables` stand in an order in which they can be filled. `audit_head`: the newest hash of the chain."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    product_version: str
    schema_revision: str
    taken_at: datetime
    tables: tuple[TablePart, ...]
    sequences: dict[str, tuple[int, bool]]  # last value, and whether it was given out
    inventory: Inventory
    has_objects: bool
    audit_head: str | None

    @property
    def rows(self) -> int:
        return sum(table.rows for table in self.tables)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """The last thing that is written into a backup, with its hash beside it."""
    text = manifest.model_dump_json(indent=1).encode()
    with create(folder / MANIFEST) as file:
        file.write(text)
    with create(folder / SEAL) as file:
        file.write(f"{hashlib.sha256(text).hexdigest()}  {MANIFEST}\n".encode())


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a backup of which every byte is as it was written. Raises `BackupError`."""
    try:
        seal = _SEAL.fullmatch((folder / SEAL).read_text())
        text = (folder / MANIFEST).read_bytes()
    except (OSError, UnicodeDecodeError):
        raise BackupError(
            "This folder is no backup, or not a whole one: its manifest cannot be read."
        ) from None
    if seal is None:
        raise BackupError(f"The backup is damaged: {SEAL} is not as it was written.")
    check_file(folder / MANIFEST, MANIFEST, None, seal[1])
    try:
        manifest = Manifest.model_validate_json(text)
    except ValidationError:
        raise BackupError(
            "The backup was made by a version of this product that this one cannot read."
        ) from None
    for part in (*manifest.tables, manifest.inventory):
        check_part(folder, part)
    if manifest.has_objects:
        for line in lines_of(folder, manifest.inventory):
            if line["stored"]:
                check_file(object_file(folder, line), f"object {line['key']}", None, str(line["sha256"]))
    return manifest


def object_file(folder: Path, line: Line) -> Path:
    """Where the backup keeps the bytes of an inventoried object. Raises `BackupError` for an odd key."""
    role, key = str(line["role"]), str(line["key"])
    if role not in (IMAGES, REPORTS, STAGING) or not is_key(key):
        raise BackupError("The backup is damaged: its inventory names an impossible object.")
    return folder / OBJECTS / role / key
