"""What the page about the system shows: versions, readiness, workers, queues, and settings."""

import platform
from dataclasses import dataclass
from datetime import datetime
from functools import cache

from flask import Flask, current_app
from sqlalchemy.orm import Session

from api.held import Held
from api.portal.language import gettext, mark, number
from api.readiness import checks_of
from api.wiring import services
from shared import __version__, heartbeat, stats
from shared.migrations import current_revision, known_revisions
from shared.models import JobKind, Lane, Worker
from shared.queue import queue_of
from shared.services import Services
from shared.settings import Settings

EXTENSION = "brain_tumor_system"
LEAST_SECONDS = 3.0
MIB = 1024 * 1024
CHECKS = {
    "database": (mark("Database"), mark("Nothing works without it.")),
    "broker": (mark("Redis"), mark("Uploads are kept; workers find the work a little later.")),
    "image_store": (mark("Store of the pictures"), mark("Pictures are not shown, and analyses wait.")),
    "report_store": (mark("Store of the reports"), mark("Reports are not made and not downloaded.")),
    "staging_store": (mark("Store of new uploads"), mark("Uploads are refused.")),
    "scan_worker": (mark("Worker for scans"), mark("Uploads are kept and wait for one.")),
    "report_worker": (mark("Worker for reports and e-mails"), mark("Reports and e-mails wait for one.")),
}
LANES = (
    (JobKind.SCAN, Lane.INTERACTIVE),
    (JobKind.SCAN, Lane.BULK),
    (JobKind.REPORT, Lane.INTERACTIVE),
    (JobKind.MAIL, Lane.INTERACTIVE),
)


@dataclass(frozen=True, slots=True)
class Check:
    """A part of the system. `lost`: what does not work while it is down."""

    text: str
    lost: str
    is_up: bool


@dataclass(frozen=True, slots=True)
class WorkerView:
    """A worker process. `engine` runs the model; None where there is no model."""

    name: str
    role: str
    device: str
    engine: str | None
    model: str | None
    since: datetime
    seen: datetime
    is_alive: bool


@dataclass(frozen=True, slots=True)
class Depth:
    """A queue: jobs that wait in the database, and hints in Redis that no worker has taken yet."""

    queue: str
    jobs: int
    hints: int | None


@dataclass(frozen=True, slots=True)
class State:
    """How the system is at the moment."""

    checks: list[Check]
    workers: list[WorkerView]
    depths: list[Depth]

    @property
    def is_ready(self) -> bool:
        return all(check.is_up for check in self.checks)


@dataclass(frozen=True, slots=True)
class Versions:
    """`schema` is the database's, `newest_schema` the one that this version knows."""

    product: str
    python: str
    schema: str | None
    newest_schema: str


def set_up(app: Flask) -> None:
    """Make room for the state: asking stores for it can take a while."""
    app.extensions[EXTENSION] = Held[State](LEAST_SECONDS)


def state() -> State:
    """As it is, or was a moment ago."""
    held: Held[State] = current_app.extensions[EXTENSION]
    return held.get(lambda: _state(services()))


def versions(session: Session) -> Versions:
    return Versions(
        __version__, platform.python_version(), current_revision(session.connection()), _newest_schema()
    )


def chosen(settings: Settings) -> list[tuple[str, str, str]]:
    """Settings that people ask for: variable, meaning, value. Never a secret, nor an address with one."""
    return [
        ("FLASK_ENV", gettext("Mode"), settings.flask_env),
        ("IMAGE_STORE", gettext("Pictures are kept in"), settings.chosen_image_store),
        ("REPORT_STORE", gettext("Reports are kept in"), settings.chosen_report_store),
        ("STAGING_STORE", gettext("Uploads wait in"), settings.staging_store),
        ("RELEASE_GATE", gettext("Patients wait for a radiologist"), _switch(settings.release_gate)),
        ("ALLOW_PUBLIC_UPLOADS", gettext("Uploads without a login"), _switch(settings.allow_public_uploads)),
        ("MAX_CONTENT_LENGTH", gettext("Largest upload"), f"{number(settings.max_content_length / MIB)} MiB"),
        ("MAX_FILES_PER_UPLOAD", gettext("Most files in one upload"), number(settings.max_files_per_upload)),
        ("MAX_IMAGE_PIXELS", gettext("Most pixels of a picture"), number(settings.max_image_pixels)),
        ("MAX_QUEUED_JOBS", gettext("Most jobs that wait"), number(settings.max_queued_jobs)),
        ("MAX_ATTEMPTS", gettext("Attempts of a job"), number(settings.max_attempts)),
        ("OUTAGE_ATTEMPTS", gettext("Attempts while a store is out"), number(settings.outage_attempts)),
        (
            "LEASE_SECONDS",
            gettext("A silent worker loses its job after"),
            f"{number(settings.lease_seconds)} s",
        ),
        ("SESSION_HOURS", gettext("A login lasts"), f"{number(settings.session_hours)} h"),
    ]


def _state(built: Services) -> State:
    up, _ = checks_of(built)
    with built.sessions() as session:
        waiting = stats.waiting_by_lane(session)
        workers = [_worker_view(*row) for row in heartbeat.workers(session)]
    depths = [
        Depth(
            queue_of(kind, lane),
            sum(jobs for key, jobs in waiting.items() if queue_of(*key) == queue_of(kind, lane)),
            built.queue.waiting_hints(kind, lane) if up["broker"] else None,
        )
        for kind, lane in LANES
    ]
    return State([Check(*CHECKS[name], is_up) for name, is_up in up.items()], workers, depths)


def _worker_view(worker: Worker, is_alive: bool) -> WorkerView:
    device, _, engine = worker.device.partition("/")
    return WorkerView(
        name=worker.name,
        role=worker.role,
        device=device,
        engine=engine or None,
        model=worker.model,
        since=worker.started_at,
        seen=worker.last_seen_at,
        is_alive=is_alive,
    )


@cache
def _newest_schema() -> str:
    """Read from the files of this version, which stay as they are while it runs."""
    return known_revisions()[-1]


def _switch(is_on: bool) -> str:
    return str(gettext("on") if is_on else gettext("off"))
