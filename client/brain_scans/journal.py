"""What was sent and what the server said, on disk before anything else happens: the means to go on.

One file per source, server and patient map; a JSON object per line, only ever added to. A request is noted
before it is sent, so that after a crash the very same request can be sent again under its key.
"""

import fcntl
import hashlib
import json
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from io import BufferedRandom
from pathlib import Path
from typing import Any, NamedTuple, Self

from brain_scans.errors import WrongUseError

REFUSED, ACCEPTED = "refused", "accepted"


class FileId(NamedTuple):
    """What makes a file the same file."""

    name: str
    size: int
    sha256: str
    patient: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the server said about a file: a job, or why there is none."""

    job_id: str | None = None
    error: str = ""
    code: str = ""

    @property
    def is_accepted(self) -> bool:
        return self.job_id is not None


def journal_path(
    folder: Path, server: str, sources: Sequence[Path], patient: str | None, table: Path | None
) -> Path:
    """Where the journal of this piece of work lies, whatever the order in which its sources are given."""
    whose = (
        f"patient {patient.upper()}" if patient is not None else f"table {table.resolve() if table else ''}"
    )
    work = [server, whose, *sorted(str(source.resolve()) for source in sources)]
    return folder / f"{hashlib.sha256(json.dumps(work).encode()).hexdigest()[:32]}.jsonl"


@dataclass(slots=True)
class Journal:
    """The open journal of one piece of work; threads may share it."""

    path: Path
    _file: BufferedRandom
    nonce: str | None = None
    username: str | None = None
    batch_id: str | None = None
    settled: dict[FileId, Outcome] = field(default_factory=dict)
    unanswered: dict[str, list[FileId]] = field(default_factory=dict)  # by idempotency key
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Read what is there. Raises `WrongUseError` if another process works with it."""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        file = os.fdopen(descriptor, "r+b")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            raise WrongUseError("Another brain-scans is sending the same files. Wait for its end.") from None
        journal = cls(path, file)
        journal._read()
        return journal

    def close(self) -> None:
        self._file.close()

    def begin(self, nonce: str, username: str) -> None:
        """Note that a batch is about to be asked for by this user, under a key made from `nonce`."""
        self.nonce, self.username = nonce, username
        self._write({"begin": nonce, "username": username})

    def forget(self) -> None:
        """Start anew, as if nothing had been sent."""
        self._file.seek(0)
        self._file.truncate()
        self.nonce = self.username = self.batch_id = None
        self.settled.clear()
        self.unanswered.clear()

    def name_batch(self, batch_id: str) -> None:
        self.batch_id = batch_id
        self._write({"batch": batch_id})

    def sending(self, key: str, files: Sequence[FileId]) -> None:
        """Note a request before it is sent."""
        with self._lock:
            if self.unanswered.get(key) == list(files):
                return  # the same again
            self.unanswered[key] = list(files)
            self._write({"sending": key, "files": files})

    def answered(self, key: str, outcomes: Sequence[Outcome | None]) -> None:
        """Note the server's answer to a request, file by file; None where it may be asked again."""
        with self._lock:
            self._settle(key, outcomes)
            rows = [None if o is None else [o.job_id, o.error, o.code] for o in outcomes]
            self._write({"answered": key, "outcomes": rows})

    def withdrawn(self, key: str) -> None:
        """Note that the server took nothing of a request, and that it will not be sent again like this."""
        with self._lock:
            self.unanswered.pop(key, None)
            self._write({"withdrawn": key})

    def _settle(self, key: str, outcomes: Sequence[Outcome | None]) -> None:
        for file, outcome in zip(self.unanswered.pop(key, []), outcomes, strict=False):
            if outcome is not None:
                self.settled[file] = outcome

    def _write(self, record: dict[str, Any]) -> None:
        self._file.write(json.dumps(record, separators=(",", ":")).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def _read(self) -> None:
        whole = 0
        for line in self._file:
            try:
                self._apply(json.loads(line))
            except ValueError:
                break  # cut off by a crash: what it was to say is not known, so it was not said
            whole += len(line)
        self._file.seek(whole)
        self._file.truncate()

    def _apply(self, record: dict[str, Any]) -> None:
        if "begin" in record:
            self.nonce, self.username = record["begin"], record["username"]
        elif "batch" in record:
            self.batch_id = record["batch"]
        elif "sending" in record:
            self.unanswered[record["sending"]] = [FileId(*file) for file in record["files"]]
        elif "answered" in record:
            self._settle(record["answered"], [None if o is None else Outcome(*o) for o in record["outcomes"]])
        elif "withdrawn" in record:
            self.unanswered.pop(record["withdrawn"], None)
