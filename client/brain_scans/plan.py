"""What to send: which files, of which patient, in which requests."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from brain_scans.errors import WrongUseError
from brain_scans.patients import Patients
from brain_scans.sources import MANIFEST, FolderSource, Source, ZipSource, files_below, is_picture_name
from brain_scans.tables import MOST_BYTES, Row, read_table, read_table_file

UNKNOWN_PATIENT, NO_PATIENT, MISSING = "UNKNOWN_PATIENT", "NO_PATIENT", "MISSING"


@dataclass(frozen=True, slots=True)
class Entry:
    """One file to send. `name` is what identifies it: its path below what was given on the command line."""

    name: str
    size: int
    patient: int
    source: Source
    member: str  # its name in the source

    def read(self, most: int) -> bytes:
        """The bytes. Raises `UnusableFileError`."""
        return self.source.read(self.member, most)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A file that is not sent, or that the server refused, and why."""

    file: str
    error: str
    code: str


@dataclass(slots=True)
class Plan:
    """Entries in the order in which they are sent: by patient, then by name."""

    entries: list[Entry] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    left_out: int = 0  # files that do not look like pictures

    @property
    def patients(self) -> int:
        return len({entry.patient for entry in self.entries})


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may hold."""

    max_bytes: int = 16 * 1024 * 1024
    max_files: int = 200


@dataclass(frozen=True, slots=True)
class _Root:
    """A source, where it lies, and whose files it holds as far as it says so itself."""

    path: Path
    source: Source
    rows: Sequence[Row] | None = None


def make_plan(paths: Sequence[Path], patient: str | None, table: Path | None, known: Patients) -> Plan:
    """Look at every source and find the patient of each file.

    A file without a known patient is refused alone. Raises `WrongUseError` for a source that cannot be
    read, a patient in `patient` that the server does not know, or nobody named at all.
    """
    if patient is not None and table is not None:
        raise WrongUseError("Give either --patient or --map, not both.")
    if patient is not None and known.number(patient) is None:
        raise WrongUseError(f"The server knows no patient {patient}.")
    mapped = _Assignments(read_table_file(table)) if table is not None else None
    roots = list(_roots(paths))
    labels = _labels([root.path for root in roots])
    plan, taken = Plan(), dict[str, int]()
    for root, label in zip(roots, labels, strict=True):
        own = _Assignments(root.rows) if root.rows is not None else None
        if patient is None and mapped is None and own is None:
            raise WrongUseError("Whose scans are these? Give --patient ID, or --map FILE.")
        if own is not None and (mapped is not None or (patient is not None and own.names_patients)):
            raise WrongUseError(f"{root.path} names the patients itself: leave out --patient and --map.")
        for member, size in root.source.sizes().items():
            name = f"{label}{member}"
            whose = patient if patient is not None else (mapped or own or _NOBODY).patient_of(member, name)
            _add(plan, taken, Entry(name, size, known.number(whose) or 0, root.source, member), whose)
        plan.left_out += root.source.left_out
        if own is not None:
            plan.refused += own.unused(label)
    if mapped is not None:
        plan.refused += mapped.unused("")
    plan.entries.sort(key=lambda entry: (entry.patient, entry.name))
    return plan


def in_requests(entries: Iterable[Entry], max_bytes: int, max_files: int) -> Iterator[list[Entry]]:
    """The entries in order, cut so that each piece is of one patient and within the limits.

    A file that is too big by itself goes alone.
    """
    piece: list[Entry] = []
    size = 0
    for entry in entries:
        is_full = len(piece) == max_files or size + entry.size > max_bytes
        if piece and (is_full or piece[0].patient != entry.patient):
            yield piece
            piece, size = [], 0
        piece.append(entry)
        size += entry.size
    if piece:
        yield piece


class _Assignments:
    """File -> patient, from a table; remembers which of its rows were of use."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self._patients: dict[str, str] = {}
        self._used: set[str] = set()
        for row in rows:
            if self._patients.setdefault(row.filename, row.patient) != row.patient:
                raise WrongUseError(f"{row.filename} is listed for two patients.")

    @property
    def names_patients(self) -> bool:
        return any(self._patients.values())

    def patient_of(self, *names: str) -> str:
        """By the first of these names that is listed, or else the bare file name; empty if none is."""
        for name in (*names, names[0].rsplit("/", 1)[-1]):
            if name in self._patients:
                self._used.add(name)
                return self._patients[name]
        return ""

    def unused(self, label: str) -> list[Refusal]:
        """The rows whose file was not found."""
        left = [name for name in self._patients if name not in self._used]
        return [
            Refusal(f"{label}{name}", "The file is listed, but it is not there.", MISSING) for name in left
        ]


_NOBODY = _Assignments(())


def _add(plan: Plan, taken: dict[str, int], entry: Entry, whose: str) -> None:
    if not whose:
        plan.refused.append(Refusal(entry.name, "No patient is given for this file.", NO_PATIENT))
    elif not entry.patient:
        plan.refused.append(Refusal(entry.name, f"The server knows no patient {whose}.", UNKNOWN_PATIENT))
    elif entry.name not in taken:
        taken[entry.name] = entry.patient
        plan.entries.append(entry)
    elif taken[entry.name] != entry.patient:
        raise WrongUseError(f"{entry.name} is given for two patients.")


def _roots(paths: Sequence[Path]) -> Iterator[_Root]:
    """The sources in an order that does not depend on how they were given."""
    single: dict[Path, list[Path]] = defaultdict(list)
    for path in sorted({path.resolve() for path in paths}):
        if path.is_dir():
            yield _Root(path, FolderSource(path))
        elif not path.exists():
            raise WrongUseError(f"There is no {path}.")
        elif path.suffix.lower() == ".zip":
            archive = ZipSource(path)
            has_manifest = archive.has(MANIFEST)
            rows = (
                read_table(archive.read(MANIFEST, MOST_BYTES), f"{path}/{MANIFEST}") if has_manifest else None
            )
            yield _Root(path, archive, rows)
        elif path.suffix.lower() == ".csv":
            rows = read_table_file(path)
            yield _Root(path, FolderSource(path.parent, tuple(row.filename for row in rows)), rows)
        elif is_picture_name(path.name):
            single[path.parent].append(path)
        else:
            raise WrongUseError(f"{path} is neither a folder nor a ZIP, CSV, PNG or JPEG file.")
    for folder, files in single.items():
        yield _Root(folder, files_below(folder, files))


def _labels(paths: Sequence[Path]) -> list[str]:
    """What stands before the names of each source's files: nothing for one source, else a distinct folder."""
    if len(paths) == 1:
        return [""]
    seen: dict[str, int] = defaultdict(int)
    labels = []
    for path in paths:
        seen[path.name] += 1
        labels.append(f"{path.name}/" if seen[path.name] == 1 else f"{path.name}-{seen[path.name]}/")
    return labels
