"""What must hold after a fault: nothing lost, nothing twice, nothing left over."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from shared.models import UNFINISHED, Job, JobEvent, JobStatus, Report, Scan
from shared.reconciliation.inventory import roles
from shared.storage.choice import IMAGES, REPORTS, STAGING
from tests.faults.driver import Driver
from tests.faults.system import System

ENDS = ("succeeded", "failed", "cancelled")


@dataclass
class Ledger:
    """One fault's account."""

    fault: str
    accepted: int
    finished: int = 0
    failed: int = 0
    retried: int = 0  # attempts beyond the first: whether the fault hit work at all
    reports: int = 0
    doubled: int = 0
    lost: int = 0
    orphans: int = 0  # objects and half-written files that no row names
    leftovers: int = 0  # those of them that reconciliation did not remove
    missing: int = 0  # objects that a row names and that are not there
    broken: list[str] = field(default_factory=list)  # promises about the jobs' histories
    seconds: float = 0.0  # from the end of the fault until all work had ended
    answers: dict[str, int] = field(default_factory=dict)

    def is_kept(self, poisoned: int = 0) -> bool:
        """Whether every promise held; orphans are reconciliation's to remove, and it must."""
        return (
            self.finished == self.accepted - poisoned
            and self.failed == poisoned
            and not (self.doubled or self.lost or self.missing or self.leftovers or self.broken)
        )

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def unfinished(system: System, patient_id: int | None = None) -> int:
    """Jobs that have not ended, of a patient or of all."""
    query = select(func.count(Job.id)).where(Job.status.in_(UNFINISHED))
    if patient_id is not None:
        is_of_patient = (Scan.patient_id == patient_id) | (Report.patient_id == patient_id)
        query = query.outerjoin(Scan).outerjoin(Report).where(is_of_patient)
    with system.services.sessions() as session:
        return int(session.scalar(query) or 0)


def finished(system: System, patient_id: int) -> int:
    """Scans of a patient that are analysed."""
    with system.services.sessions() as session:
        query = select(func.count(Job.id)).join(Scan)
        is_done = Job.status == JobStatus.SUCCEEDED
        return int(session.scalar(query.where(Scan.patient_id == patient_id, is_done)) or 0)


def check(system: System, driver: Driver, fault: str, objects: set[str], new: set[str]) -> Ledger:
    """Hold what the client was told against rows and `objects`; `new`: those that this fault's work made."""
    ledger = Ledger(fault, accepted=len(driver.accepted), answers=dict(driver.answers))
    with system.services.sessions() as session:
        scans = list(session.scalars(select(Scan).where(Scan.patient_id == driver.patient_id)))
        reports = list(session.scalars(select(Report).where(Report.patient_id == driver.patient_id)))
        jobs = _jobs(session, scans, reports)
        ledger.broken += _broken_histories(session, jobs)
        named = _named(session)
    by_scan = {job.scan_id: job for job in jobs if job.scan_id is not None}
    by_name = {scan.scan_id: scan for scan in scans}
    ends = Counter(job.status for job in by_scan.values())
    ledger.finished, ledger.failed = ends[JobStatus.SUCCEEDED], ends[JobStatus.FAILED]
    ledger.retried = sum(job.attempt - 1 for job in jobs)
    ledger.reports = sum(report.report_path is not None for report in reports)
    ledger.doubled = len(scans) - len({scan.sha256 for scan in scans}) + max(0, len(reports) - driver.reports)
    ledger.lost = _lost(driver, by_name, by_scan) + driver.reports - ledger.reports
    ledger.broken += _broken_results(scans, by_scan)
    theirs = _keys(scans, reports)
    ledger.missing = len(theirs - objects)
    ledger.orphans = len(new - named)
    return ledger


def unnamed(system: System, objects: set[str]) -> set[str]:
    """Objects that no row names."""
    with system.services.sessions() as session:
        return objects - _named(session)


def stored(system: System) -> set[str]:
    """Everything in the stores, as role and key; of folders the files, half-written ones too."""
    settings = system.settings
    if system.outside is None:
        folders = {IMAGES: settings.image_folder, REPORTS: settings.report_folder}
        files = ((role, folder, path) for role, folder in folders.items() for path in folder.rglob("*"))
        return {f"{role}/{path.relative_to(folder)}" for role, folder, path in files if path.is_file()}
    stores = roles(system.services)
    return {f"{role}/{entry.key}" for role, store in stores.items() for entry in store.keys("")}


def _jobs(session: Session, scans: Sequence[Scan], reports: Sequence[Report]) -> list[Job]:
    is_theirs = Job.scan_id.in_([scan.id for scan in scans]) | Job.report_id.in_([row.id for row in reports])
    return list(session.scalars(select(Job).where(is_theirs)))


def _lost(driver: Driver, by_name: dict[str, Scan], by_scan: dict[int, Job]) -> int:
    """Accepted scans without a row of the same bytes, or whose job has not ended."""
    lost = 0
    for sha256, name in driver.accepted.items():
        scan = by_name.get(name)
        job = by_scan.get(scan.id) if scan else None
        lost += scan is None or scan.sha256 != sha256 or job is None or job.status not in ENDS
    return lost


def _broken_results(scans: Iterable[Scan], by_scan: dict[int, Job]) -> list[str]:
    """Every succeeded scan has one whole result, of the attempt that ended its job."""
    broken = []
    for scan in scans:
        job = by_scan[scan.id]
        name = f"{scan.scan_id}-{job.attempt}.png"
        is_whole = (
            scan.analysed_at is not None
            and scan.heatmap_path == f"heatmap/{name}"
            and scan.overlay_path == f"overlay/{name}"
        )
        is_bare = scan.analysed_at is None and scan.heatmap_path is None
        if not (is_whole if job.status == JobStatus.SUCCEEDED else is_bare):
            broken.append(f"scan {scan.scan_id}: its result is not that of attempt {job.attempt}")
    return broken


def _broken_histories(session: Session, jobs: Sequence[Job]) -> list[str]:
    """Each step starts where the last ended, so no two owners overlap; one end, and it is the last step."""
    histories: dict[Any, list[JobEvent]] = defaultdict(list)
    query = select(JobEvent).where(JobEvent.job_id.in_([job.id for job in jobs])).order_by(JobEvent.id)
    for event in session.scalars(query):
        histories[event.job_id].append(event)
    broken = []
    for job in jobs:
        steps = [(event.status_from, event.status_to) for event in histories[job.id]]
        states = [to for _, to in steps]
        if [source for source, _ in steps] != [None, *states[:-1]]:
            broken.append(f"job {job.id}: its steps do not follow each other: {steps}")
        if states[-1] != job.status or sum(state in ENDS for state in states) > 1:
            broken.append(f"job {job.id}: it ended more than once, or not as its row says: {states}")
        if states.count("running") != job.attempt:
            broken.append(f"job {job.id}: {states.count('running')} starts, {job.attempt} attempts")
    return broken


def _named(session: Session) -> set[str]:
    """The keys that any row names."""
    return _keys(list(session.scalars(select(Scan))), list(session.scalars(select(Report))))


def _keys(scans: Iterable[Scan], reports: Iterable[Report]) -> set[str]:
    keys = {f"{REPORTS}/{report.report_path}" for report in reports if report.report_path is not None}
    for scan in scans:
        keys.add(f"{STAGING if scan.is_staged else IMAGES}/{scan.original_path}")
        keys |= {f"{IMAGES}/{key}" for key in (scan.heatmap_path, scan.overlay_path) if key is not None}
    return keys
