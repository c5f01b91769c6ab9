"""Where pictures come from: a folder, single files, a ZIP. Each is read file by file, never whole."""

import lzma
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Protocol

from brain_scans.errors import UnusableFileError, WrongUseError

SUFFIXES = (".png", ".jpg", ".jpeg")
MAGIC = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")
MANIFEST = "manifest.csv"
MOST_MEMBERS = 1_000_000
MOST_UNPACKED = 100  # times the size of the ZIP; pictures hardly shrink, bombs do
_ENCRYPTED = 0x1
_DAMAGED = (
    OSError,
    KeyError,
    EOFError,
    ValueError,
    NotImplementedError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
)  # what reading a member may raise, RuntimeError for one that needs a password


class Source(Protocol):
    """Named files and their bytes."""

    def sizes(self) -> dict[str, int]:
        """The pictures by name (a relative path with forward slashes) and their sizes in bytes."""
        ...

    @property
    def left_out(self) -> int:
        """How many other files there are."""
        ...

    def read(self, name: str, most: int) -> bytes:
        """A file's bytes. Raises `UnusableFileError` if it cannot be read or has more than `most`."""
        ...


@dataclass(slots=True)
class FolderSource:
    """Files below a folder: all pictures, or those that are named."""

    root: Path
    names: Sequence[str] | None = None
    left_out: int = 0

    def sizes(self) -> dict[str, int]:
        if self.names is not None:
            return {name: _size(self.root / name) for name in self.names}
        found = {}
        self.left_out = 0
        for path in self.root.rglob("*"):
            name = path.relative_to(self.root).as_posix()
            if not path.is_file():
                continue
            if is_picture_name(name):
                found[name] = _size(path)
            else:
                self.left_out += 1
        return found

    def read(self, name: str, most: int) -> bytes:
        try:
            with (self.root / name).open("rb") as file:
                data = file.read(most + 1)
        except OSError as error:
            reason = error.strerror or "it cannot be read"
            raise UnusableFileError(f"The file cannot be read: {reason}.", "UNREADABLE") from error
        return _at_most(data, most)


@dataclass(slots=True)
class ZipSource:
    """Members of a ZIP, unpacked one at a time into memory and never on a disk."""

    path: Path
    left_out: int = 0
    _archive: zipfile.ZipFile = field(init=False)

    def __post_init__(self) -> None:
        """Raises `WrongUseError` if it is no ZIP, or one that is made to fill memory."""
        try:
            self._archive = zipfile.ZipFile(self.path)
        except (OSError, zipfile.BadZipFile) as error:
            raise WrongUseError(f"{self.path} cannot be read as a ZIP.") from error
        members = self._archive.infolist()
        unpacked = sum(member.file_size for member in members)
        if len(members) > MOST_MEMBERS or unpacked > MOST_UNPACKED * self.path.stat().st_size:
            raise WrongUseError(f"{self.path} unpacks to more than a ZIP of pictures can; it is not read.")

    def sizes(self) -> dict[str, int]:
        members = [member for member in self._archive.infolist() if not member.is_dir()]
        found = {member.filename: member.file_size for member in members if is_picture_name(member.filename)}
        self.left_out = sum(not is_picture_name(member.filename) for member in members)
        return found

    def has(self, name: str) -> bool:
        return name in self._archive.NameToInfo

    def read(self, name: str, most: int) -> bytes:
        try:
            member = self._archive.getinfo(name)
            if member.flag_bits & _ENCRYPTED:
                raise UnusableFileError("The file is encrypted in the ZIP.", "UNREADABLE")
            with self._archive.open(member) as file:
                data = file.read(most + 1)  # the size in the header may lie
        except _DAMAGED as error:
            raise UnusableFileError("The file cannot be read out of the ZIP.", "UNREADABLE") from error
        return _at_most(data, most)


def is_picture_name(name: str) -> bool:
    """Whether a name promises a picture; hidden files and what macOS adds to a ZIP do not count."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    is_hidden = any(part.startswith(".") or part == "__MACOSX" for part in parts)
    return not is_hidden and name.lower().endswith(SUFFIXES)


def check_picture(data: bytes) -> None:
    """Raises `UnusableFileError` for what the server would refuse at first sight."""
    if not data:
        raise UnusableFileError("The file is empty.", "EMPTY")
    if not data.startswith(MAGIC):
        raise UnusableFileError("The file is neither a JPEG nor a PNG image.", "NOT_AN_IMAGE")


def files_below(root: Path, files: Iterable[Path]) -> FolderSource:
    """Single files of one folder."""
    return FolderSource(root, tuple(dict.fromkeys(file.relative_to(root).as_posix() for file in files)))


def _size(path: Path) -> int:
    """In bytes; 0 for a file that is not there: reading it will say so."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _at_most(data: bytes, most: int) -> bytes:
    if len(data) > most:
        raise UnusableFileError(
            f"The file is larger than {most // 1024} KiB, the most that fits.", "TOO_LARGE"
        )
    return data
