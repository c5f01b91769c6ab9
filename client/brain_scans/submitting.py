"""`submit` from its sources to its outcome."""

import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from brain_scans import batches
from brain_scans.api import Api
from brain_scans.errors import ClientError, UnusableFileError
from brain_scans.journal import Journal, journal_path
from brain_scans.output import bar
from brain_scans.patients import Patients
from brain_scans.places import state_folder
from brain_scans.plan import Limits, Plan, Refusal, in_requests, make_plan
from brain_scans.sources import check_picture
from brain_scans.upload import ENVELOPE, MOST_BYTES, MOST_FILES, Tally, Uploader


@dataclass(frozen=True, slots=True)
class Work:
    """What the person asked to be sent."""

    sources: Sequence[Path]
    patient: str | None
    table: Path | None
    name: str | None = None
    anew: bool = False


@dataclass(frozen=True, slots=True)
class Submitted:
    """How it ended. `stopped`: before everything was sent."""

    batch_id: str
    total: int
    left_out: int
    tally: Tally
    seconds: float
    stopped: ClientError | None = None

    def json(self) -> dict[str, Any]:
        return {
            "batch_id": self.batch_id,
            "total": self.total,
            "accepted": self.tally.accepted,
            "already_accepted": self.tally.already,
            "refused": [asdict(refusal) for refusal in self.tally.refused],
            "left_out": self.left_out,
            "unsent": self.total - self.tally.done,
            "bytes": self.tally.sent_bytes,
            "seconds": round(self.seconds, 3),
        }


def check(api: Api, work: Work) -> dict[str, Any]:
    """Everything that can be known without sending anything."""
    plan = make_plan(work.sources, work.patient, work.table, Patients.load(api))
    limits = batches.limits_of(api)
    refused = list(plan.refused)
    good = []
    with bar("checking", len(plan.entries)) as show:
        for number, entry in enumerate(plan.entries, 1):
            try:
                check_picture(entry.read(limits.max_bytes - ENVELOPE))
                good.append(entry)
            except UnusableFileError as error:
                refused.append(Refusal(entry.name, str(error), error.code))
            show(number, len(plan.entries))
    pieces = in_requests(
        good, min(limits.max_bytes - ENVELOPE, MOST_BYTES), min(limits.max_files, MOST_FILES)
    )
    return {
        "dry_run": True,
        "files": len(good),
        "bytes": sum(entry.size for entry in good),
        "patients": len({entry.patient for entry in good}),
        "requests": sum(1 for _ in pieces),
        "refused": [asdict(refusal) for refusal in refused],
        "left_out": plan.left_out,
    }


def submit(api: Api, work: Work, parallel: int, stop: threading.Event) -> Submitted:
    """Send what is not on the server yet. A stop on the way is part of the outcome, not an exception."""
    known = Patients.load(api)
    plan = make_plan(work.sources, work.patient, work.table, known)
    # By number, so that both ways to name a patient mean the same work.
    patient = str(known.number(work.patient)) if work.patient is not None else None
    path = journal_path(state_folder(), api.url, work.sources, patient, work.table)
    journal = Journal.open(path)
    try:
        if work.anew:
            journal.forget()
        limits = batches.limits_of(api)
        batch_id = batches.open_batch(api, journal, work.name)
        batches.remember_last(api.url, batch_id)
        return _send(api, plan, journal, limits, parallel, stop)
    finally:
        journal.close()


def _send(
    api: Api, plan: Plan, journal: Journal, limits: Limits, parallel: int, stop: threading.Event
) -> Submitted:
    total = len(plan.entries) + len(plan.refused)
    began = time.monotonic()
    stopped: ClientError | None = None
    with bar("sending", total) as show:
        uploader = Uploader(api, journal, limits, stop, lambda tally: show(tally.done, total))
        uploader.tally.refused += plan.refused
        try:
            uploader.send(plan, parallel)
        except ClientError as error:
            stopped = error
    seconds = time.monotonic() - began
    return Submitted(str(journal.batch_id), total, plan.left_out, uploader.tally, seconds, stopped)
