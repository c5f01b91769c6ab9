"""What a repair does about missing objects; nothing at all where none is wanted."""

import re
import uuid
from collections.abc import Iterable

from sqlalchemy.orm import Session

from shared import job_control, job_events
from shared.models import Job, JobKind, Lane
from shared.queue import hints
from shared.services import Services

WOKEN_AT_ONCE = 100
_ATTEMPT = re.compile(r"-([0-9]+)\.png$")


class Repairs:
    """Queues work, each piece in a transaction of its own. Every method says whether it did something."""

    def __init__(self, services: Services, are_wanted: bool) -> None:
        self.are_wanted = are_wanted
        self._services = services
        self._queued: list[Job] = []

    def repeat(self, job_id: uuid.UUID) -> bool:
        """Have a job that has ended run again."""
        if not self.are_wanted:
            return False
        with self._services.sessions.begin() as session:
            job_control.repeat(session, job_id)
            self._note(session.get_one(Job, job_id))
        return True

    def ask_for(self, scan_id: int, used_keys: Iterable[str]) -> bool:
        """Make a job for a scan that has none. Its attempts begin after those that pictures tell of."""
        if not self.are_wanted:
            return False
        attempts = [int(found[1]) for key in used_keys if (found := _ATTEMPT.search(key))]
        spent = max(attempts, default=0)
        with self._services.sessions.begin() as session:
            job = _new_job(session, scan_id, spent)
        self._note(job)
        return True

    def copy_back(self, key: str, content_type: str | None) -> bool:
        """Take an original from the staging store to the images. Raises what the stores raise."""
        staging = self._services.staging
        if not self.are_wanted or staging is None or not staging.exists(key):
            return False
        self._services.images.put(key, staging.get(key), content_type or "application/octet-stream")
        return True

    def wake_workers(self) -> None:
        """Tell workers of what was queued. What is not told, the sweeper finds."""
        for kind, lane in {(job.kind, job.lane) for job in self._queued}:
            told = hints(job for job in self._queued if (job.kind, job.lane) == (kind, lane))
            self._services.queue.wake(kind, lane, told)
        self._queued.clear()

    def _note(self, job: Job) -> None:
        self._queued.append(job)
        if len(self._queued) >= WOKEN_AT_ONCE:
            self.wake_workers()


def _new_job(session: Session, scan_id: int, spent: int) -> Job:
    job = Job(
        id=uuid.uuid4(),
        kind=JobKind.SCAN,
        lane=Lane.BULK,
        scan_id=scan_id,
        attempt=spent,
        spent_attempts=spent,
    )
    session.add(job)
    session.flush()
    job_events.created(session, [job.id])
    return job
