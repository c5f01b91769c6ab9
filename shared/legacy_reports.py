"""Finds the PDFs of reports that the replaced system made.

Their `report_path` is what that system wrote: an S3 key such as `reports/x.pdf`, or a path on the disk of the
machine that it ran on, which may have been another one. Where nothing is at that place, the path's last part
names the file, unless reports of several patients end so. A local file lies inside REPORT_FOLDER or is none.
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from shared.errors import ObjectNotFoundError, StorageError
from shared.models import Report
from shared.services import Services

FILE_ROUTE = "/api/report/file"
GONE = "The PDF of this report is neither in the report store nor in REPORT_FOLDER."
_FOLDER = "reports/"  # where the replaced system kept PDFs; our report store keeps them there in S3 too
_ADDRESSES = ("https://", "http://")
_MAX_NAME = 255


@dataclass(frozen=True, slots=True)
class LegacyReport:
    """Where the bytes are: under a key of the report store, or in a file inside REPORT_FOLDER."""

    name: str  # what a browser saves it as
    key: str | None = None
    file: Path | None = None


def locate(services: Services, report: Report) -> LegacyReport:
    """Where a report's PDF is; S3 comes before the disk where it is the report store.

    Reports of ours, and old ones that were moved, are under their key. Raises `ObjectNotFoundError` if it is
    nowhere, and `StorageError` if the store does not answer.
    """
    if not report.is_legacy:
        return LegacyReport(_name(report.report_path), key=report.report_path)
    old_path = report.report_path or ""
    name = _name(old_path)
    for paths in _places(services, report, old_path):
        key = _stored(services, paths)
        file = None if key else inside(services.settings.report_folder, paths)
        if key or file:
            return LegacyReport(name, key, file)
    raise ObjectNotFoundError(GONE)


def link(services: Services, report: Report) -> str:
    """An address of the PDF: the store's, or that of the API's file route for a legacy file on the disk.

    Raises like `locate`.
    """
    found = locate(services, report)
    if found.key is not None:
        return services.reports.link(found.key, filename=found.name)
    # The old folders may have held several files of one name: the id says which report is meant.
    return f"{FILE_ROUTE}/{quote(found.name, safe='')}?report_id={quote(report.report_id, safe='')}"


def read(services: Services, report: Report) -> bytes:
    """The PDF's bytes. Raises like `locate`."""
    found = locate(services, report)
    if found.file is not None:
        return read_file(found.file)
    return services.reports.get(found.key or "")


def read_file(file: Path) -> bytes:
    """A local report's bytes. Raises `ObjectNotFoundError` if it has just gone, else `StorageError`."""
    try:
        return file.read_bytes()
    except FileNotFoundError:
        raise ObjectNotFoundError(GONE) from None
    except OSError:
        raise StorageError("A file in REPORT_FOLDER could not be read.") from None


def named(session: Session, name: str) -> list[Report]:
    """Reports whose file had exactly this name in the replaced system, newest first.

    Its folders may have held several of one name; those that were moved since are found as well.
    """
    is_legacy = and_(Report.is_legacy, _may_end_with(Report.report_path, name))
    query = select(Report).where(or_(is_legacy, _may_end_with(Report.legacy_path, name)))
    reports = session.scalars(query.order_by(Report.id.desc()))
    return [
        report for report in reports if _last_part(report.legacy_path or report.report_path or "") == name
    ]


def local_file(services: Services, report: Report, old_path: str) -> Path | None:
    """The file inside REPORT_FOLDER that belongs to this old path of the report, if there is one."""
    folder = services.settings.report_folder
    found = (inside(folder, paths) for paths in _places(services, report, old_path))
    return next((file for file in found if file is not None), None)


def _places(services: Services, report: Report, old_path: str) -> Iterator[list[str]]:
    """Paths to try, the surest first: the old one, then its last part if it is no other patient's."""
    name, path = _name(old_path), _plain(old_path)
    yield [path.removeprefix(_FOLDER), path]
    with services.sessions() as session:
        owners = {other.patient_id for other in named(session, name)}
    if owners <= {report.patient_id}:
        yield [name]


def _stored(services: Services, paths: list[str]) -> str | None:
    """The key among these under which S3, if it is the report store, has an object."""
    if services.settings.chosen_report_store != "s3":
        return None
    for path in paths:
        with suppress(ObjectNotFoundError):  # what an impossible key raises
            if services.reports.exists(path):
                return path
    return None


def inside(folder: Path, paths: list[str]) -> Path | None:
    """The file that one of these paths leads to, if it lies inside the folder once all links are followed."""
    root = folder.resolve()
    for path in paths:
        for candidate in (Path(path), root / path):  # the first: absolute, or seen from the working directory
            try:
                file = candidate.resolve()
                if file.is_relative_to(root) and file.is_file():
                    return file
            except (OSError, ValueError, RuntimeError):  # no such name is possible here, or a ring of links
                continue
    return None


def _name(old_path: str | None) -> str:
    """The last part, whichever system's separators the path has. Raises `ObjectNotFoundError`."""
    name = _last_part(old_path or "")
    if not name.lower().endswith(".pdf") or name.startswith(".") or len(name.encode()) > _MAX_NAME:
        raise ObjectNotFoundError("The replaced system recorded no usable file name for this report.")
    return name


def _last_part(path: str) -> str:
    return re.split(r"[/\\]", _plain(path))[-1]


def _plain(path: str) -> str:
    """The path of an address, for rows that hold a link to the bucket; any other path as it is."""
    if not path.startswith(_ADDRESSES):
        return path
    try:
        return unquote(urlsplit(path).path).lstrip("/")
    except ValueError:  # no address after all
        return path


def _may_end_with(path: InstrumentedAttribute[str | None], name: str) -> ColumnElement[bool]:
    """True for each path with this last part, and for all addresses: SQL does not read those."""
    is_address = or_(*(path.startswith(start) for start in _ADDRESSES))
    return or_(func.regexp_replace(path, r"^.*[/\\]", "") == name, is_address)
