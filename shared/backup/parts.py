"""Files of a backup: written once, readable by nobody else, compressed, hashed as they are written."""

import gzip
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from pydantic import BaseModel, ConfigDict, Field

from shared.errors import BackupError

CHUNK = 1 << 20
Line = dict[str, str | int | bool | None]


class Part(BaseModel):
    """One file: its path inside the backup, and what its bytes must be."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str = Field(pattern=r"^(tables/)?[a-z][a-z0-9_]*(\.copy|\.jsonl)\.gz$")
    bytes: int
    sha256: str


class Measured:
    """What is written to a file, counted and hashed."""

    def __init__(self, file: BinaryIO) -> None:
        self.size = 0
        self.digest = hashlib.sha256()
        self._file = file

    def write(self, data: bytes) -> int:
        self.size += len(data)
        self.digest.update(data)
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()


class PartWriter:
    """A compressed file of a backup. `part` says what was written, once `close` was called."""

    def __init__(self, folder: Path, name: str) -> None:
        self._name = name
        self._file = create(folder / name)
        self._measured = Measured(self._file)
        self.gzip = gzip.GzipFile("", "wb", 6, cast("BinaryIO", self._measured), mtime=0)

    def line(self, values: Line) -> None:
        """Add a line of JSON."""
        self.gzip.write(json.dumps(values).encode() + b"\n")

    def close(self) -> None:
        self.gzip.close()
        self._file.close()

    @property
    def part(self) -> Part:
        return Part(file=self._name, bytes=self._measured.size, sha256=self._measured.digest.hexdigest())


@contextmanager
def writing(folder: Path, name: str) -> Iterator[PartWriter]:
    writer = PartWriter(folder, name)
    try:
        yield writer
    finally:
        writer.close()


def create(path: Path) -> BinaryIO:
    """A new file that only its owner may read. Folders above it are made likewise."""
    for folder in reversed([above for above in path.parents if not above.exists()]):
        folder.mkdir(mode=0o700, exist_ok=True)
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def check_part(folder: Path, part: Part) -> None:
    """Raises `BackupError` unless the file is there and has not changed."""
    check_file(folder / part.file, part.file, part.bytes, part.sha256)


def check_file(path: Path, name: str, size: int | None, sha256: str) -> None:
    """Raises `BackupError` unless the file has this hash. `name` is what the sentence calls it."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
        if size is not None and path.stat().st_size != size:
            raise BackupError(f"The backup is not whole: {name} has another size than when it was made.")
    except OSError:
        raise BackupError(f"The backup is not whole: {name} cannot be read.") from None
    if digest.hexdigest() != sha256:
        raise BackupError(f"The backup is damaged: {name} has changed since it was made.")


def lines_of(folder: Path, part: Part) -> Iterator[Line]:
    """The lines of JSON of a part that was checked."""
    with gzip.open(folder / part.file, "rb") as file:
        for line in file:
            yield json.loads(line)
