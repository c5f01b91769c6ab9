"""Links from records to their pages: what a job is about, what an act in the audit trail was about."""

import uuid
from collections.abc import Callable
from typing import Any

from flask import url_for

from shared.models import Job

# The page of each kind of subject, and how its address names the record.
SHOWN_BY: dict[str, tuple[str, str, Callable[[str], Any]]] = {
    "patient": ("staff_patient_pages.show_patient", "patient_id", int),
    "scan": ("staff_scan_pages.show_scan", "scan_id", int),
    "report": ("staff_report_pages.show_report", "report_id", str),
    "batch": ("staff_batch_pages.show_batch", "batch_id", uuid.UUID),
    "job": ("staff_job_pages.show_job", "job_id", uuid.UUID),
}


def page_of(subject: str) -> str | None:
    """The address of the page about "patient:7" or the like; None where there is no such page."""
    kind, _, number = subject.partition(":")
    if kind not in SHOWN_BY:
        return None
    endpoint, name, read = SHOWN_BY[kind]
    try:
        return url_for(endpoint, **{name: read(number)})
    except ValueError:
        return None


def subject_of(job: Job) -> str | None:
    """What a loaded job is about, as the audit trail names it."""
    if job.scan_id is not None:
        return f"scan:{job.scan_id}"
    if job.report is not None:
        return f"report:{job.report.report_id}"
    return f"patient:{job.mail.patient_id}" if job.mail is not None else None
