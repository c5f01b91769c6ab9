"""The tables, one file per family."""

from shared.models.base import Base
from shared.models.jobs import UNFINISHED, Batch, Job, JobEvent, JobKind, JobStatus, Lane, Worker
from shared.models.people import Admin, Login, Patient
from shared.models.reports import Report, report_scans
from shared.models.scans import Scan

__all__ = [
    "UNFINISHED",
    "Admin",
    "Base",
    "Batch",
    "Job",
    "JobEvent",
    "JobKind",
    "JobStatus",
    "Lane",
    "Login",
    "Patient",
    "Report",
    "Scan",
    "Worker",
    "report_scans",
]
