"""The tables, one file per family."""

from shared.models.audit import AuditEvent
from shared.models.base import Base
from shared.models.jobs import (
    UNFINISHED,
    Batch,
    BatchOrigin,
    IdempotencyKey,
    Job,
    JobEvent,
    JobKind,
    JobStatus,
    Lane,
    Stage,
    Worker,
)
from shared.models.mails import Mail, MailTemplate
from shared.models.people import Admin, AdminRole, Login, LoginFailure, Patient
from shared.models.reports import Report, report_scans
from shared.models.retention import DoomedObject
from shared.models.reviews import ReaderVerdict, ScanReview
from shared.models.scans import Scan

__all__ = [
    "UNFINISHED",
    "Admin",
    "AdminRole",
    "AuditEvent",
    "Base",
    "Batch",
    "BatchOrigin",
    "DoomedObject",
    "IdempotencyKey",
    "Job",
    "JobEvent",
    "JobKind",
    "JobStatus",
    "Lane",
    "Login",
    "LoginFailure",
    "Mail",
    "MailTemplate",
    "Patient",
    "ReaderVerdict",
    "Report",
    "Scan",
    "ScanReview",
    "Stage",
    "Worker",
    "report_scans",
]
