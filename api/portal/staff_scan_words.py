"""A scan as the staff's pages show it: what patients see, and whose it is."""

from dataclasses import dataclass

from api.portal.scan_words import Outcome, ScanView, alone, in_list
from shared.migrations.taken_over_work import NOT_TAKEN_OVER
from shared.models import Job, Patient, Scan

_REPORTABLE = frozenset(
    {Outcome.TUMOR, Outcome.NO_TUMOR, Outcome.NEEDS_REVIEW, Outcome.WAITING, Outcome.RUNNING}
)
_REPEATABLE = frozenset({Outcome.FAILED, Outcome.CANCELLED})


@dataclass(frozen=True, slots=True)
class Owner:
    """A patient. `patient_id` is the display id."""

    id: int
    patient_id: str
    name: str

    @classmethod
    def of(cls, patient: Patient) -> "Owner":
        return cls(patient.id, patient.patient_id, patient.name)


@dataclass(frozen=True, slots=True)
class StaffScan:
    """`verdict` is a reader's, where there is one. `is_repeatable`: another attempt can help."""

    view: ScanView
    owner: Owner
    verdict: str | None
    is_repeatable: bool

    @property
    def is_reportable(self) -> bool:
        """Reports show findings, and wait for those that are on their way."""
        return self.view.outcome in _REPORTABLE


def staff_line(scan: Scan, job: Job) -> StaffScan:
    """For a list, with a small picture."""
    return _staff_scan(scan, job, in_list(scan, job))


def staff_scan(scan: Scan, job: Job) -> StaffScan:
    """For a page of its own."""
    return _staff_scan(scan, job, alone(scan, job))


def _staff_scan(scan: Scan, job: Job, view: ScanView) -> StaffScan:
    return StaffScan(
        view=view,
        owner=Owner.of(scan.patient),
        verdict=scan.reader_verdict,
        is_repeatable=view.outcome in _REPEATABLE and job.error_code != NOT_TAKEN_OVER,
    )
