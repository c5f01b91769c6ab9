"""Objects as files on the local disk, served by the API through signed, expiring links."""

import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from itsdangerous import BadSignature, URLSafeSerializer

from shared.errors import ObjectNotFoundError, StorageError
from shared.storage.contract import StoredObject
from shared.storage.keys import checked_key, is_key

LINK_PREFIX = "/api/files"
_PART = re.compile(r"\..+\.[0-9a-f]{8}\.part")


@dataclass(frozen=True, slots=True)
class LinkTarget:
    """What a valid link leads to. With `side` a small version is meant, in a square of so many pixels."""

    path: Path
    filename: str | None = None
    side: int | None = None


class LocalStore:
    """An `ObjectStore` in one folder. `role` separates the links of stores that share a secret."""

    def __init__(self, folder: Path, role: str, secret: str, link_seconds: int) -> None:
        self.role = role
        self._folder = folder.resolve()
        self._signer = URLSafeSerializer(secret, salt=f"local-store:{role}")
        self._link_seconds = link_seconds
        self._used: set[Path] = set()  # where one of these goes, so does a disk: its objects are not lost

    def put(self, key: str, data: bytes, content_type: str) -> None:  # noqa: ARG002 - the extension says it
        path = self._path(key)
        part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
        try:
            if not path.parent.is_dir():
                _make_folder(path.parent)
            with part.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
            _sync_folder(path.parent)
            self._used.add(path.parent)
        except OSError as error:
            with suppress(OSError):
                part.unlink(missing_ok=True)
            raise StorageError(f"The {self.role} folder could not be written.") from error

    def get(self, key: str) -> bytes:
        path = self._path(key)
        try:
            data = path.read_bytes()
        except FileNotFoundError as error:
            if path.parent in self._used and not path.parent.is_dir():
                raise StorageError(f"The {self.role} folder is not there any more.") from error
            raise ObjectNotFoundError(f"The {self.role} folder has no such object.") from error
        except OSError as error:
            raise StorageError(f"The {self.role} folder could not be read.") from error
        self._used.add(path.parent)
        return data

    def exists(self, key: str) -> bool:
        return self._path(key).is_file()

    def delete(self, key: str) -> None:
        try:
            self._path(key).unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(f"The {self.role} folder could not be changed.") from error

    def keys(self, prefix: str) -> Iterator[StoredObject]:
        return (file for file in self._files() if file.key.startswith(prefix) and is_key(file.key))

    def parts(self) -> Iterator[StoredObject]:
        """Files that a killed process left half-written, and those that are being written now."""
        return (file for file in self._files() if _PART.fullmatch(file.key.rsplit("/", 1)[-1]))

    def delete_part(self, part: StoredObject) -> None:
        """Remove one of `parts`; no error if there is none."""
        try:
            (self._folder / part.key).unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(f"The {self.role} folder could not be changed.") from error

    def link(self, key: str, filename: str | None = None) -> str:
        return self._sign(key, *([filename] if filename else []))

    def thumbnail(self, key: str, side: int) -> str:
        return self._sign(key, None, side)

    def resolve(self, token: str) -> LinkTarget:
        """The file that a link leads to. Raises `ObjectNotFoundError` if it is forged, expired or gone."""
        try:
            key, expires, *rest = self._signer.loads(token)
        except (BadSignature, ValueError, TypeError):
            raise ObjectNotFoundError("This link is not valid.") from None
        if expires < time.time():
            raise ObjectNotFoundError("This link has expired. Load the page again to get a new one.")
        path = self._path(key)
        if not path.is_file():
            raise ObjectNotFoundError("This file no longer exists.")
        return LinkTarget(path, *rest)

    def is_up(self) -> bool:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            return False
        return os.access(self._folder, os.W_OK)

    def _sign(self, key: str, *more: str | int | None) -> str:
        # Expiry moves in steps, so that a link stays the same between two polls and browsers can cache it.
        step = max(self._link_seconds // 2, 1)
        expires = (int(time.time()) // step + 2) * step
        return f"{LINK_PREFIX}/{self.role}/{self._signer.dumps([checked_key(key), expires, *more])}"

    def _files(self) -> Iterator[StoredObject]:
        """Every file, under its path inside the folder. Links are not followed."""
        try:
            yield from _walk(self._folder, "")
        except OSError as error:
            raise StorageError(f"The {self.role} folder could not be read.") from error

    def _path(self, key: str) -> Path:
        return self._folder / checked_key(key)


def _walk(folder: Path, below: str) -> Iterator[StoredObject]:
    """Files of a folder and those inside it. What goes away meanwhile is left out."""
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            path = f"{below}{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(folder / entry.name, f"{path}/")
            elif entry.is_file(follow_symlinks=False):
                with suppress(FileNotFoundError):
                    facts = entry.stat(follow_symlinks=False)
                    modified_at = datetime.fromtimestamp(facts.st_mtime, UTC)
                    yield StoredObject(path, modified_at, facts.st_size)


def _make_folder(folder: Path) -> None:
    """Make a folder and those above it, so that they survive a power cut."""
    missing = [path for path in (folder, *folder.parents) if not path.is_dir()]
    folder.mkdir(parents=True, exist_ok=True)
    for path in missing:
        _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Make what was created or renamed in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
