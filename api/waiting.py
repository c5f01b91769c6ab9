"""`Prefer: wait=N` and `?wait=N`: hold a request until its jobs have ended, or the time is up."""

import math
import re
import time
import uuid
from collections.abc import Callable, Sequence

from flask import request

from api.wiring import services
from shared import job_queries
from shared.models import UNFINISHED, Job

_WAIT = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,9})\"?", re.IGNORECASE)
POLL_AFTER_S = 1  # what clients are told
FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 0.5


def preferred_wait() -> float:
    """Seconds that the client wants this request held (`Prefer: wait=N`, RFC 7240).

    The setting speaks for clients that send no `Prefer`; one that prefers something else is not held.
    """
    settings = services().settings
    preferred = request.headers.get("Prefer")
    if preferred is None:
        seconds = settings.upload_wait_seconds
    else:
        asked = _WAIT.search(preferred)
        seconds = float(asked.group(1)) if asked else 0.0
    return min(seconds, settings.max_wait_seconds)


def asked_wait(text: str | None) -> float:
    """Seconds of `?wait=N`; anything but a number is 0."""
    try:
        seconds = float(text or 0)
    except ValueError:
        return 0.0
    return min(max(seconds, 0.0), services().settings.max_wait_seconds) if math.isfinite(seconds) else 0.0


def wait_for_end(job_ids: Sequence[uuid.UUID], seconds: float) -> list[Job]:
    """The jobs in the order of `job_ids`, once none is unfinished or the time is up."""
    wanted = list(job_ids)
    return poll(wanted, seconds, lambda rows: all(row.status not in UNFINISHED for row in rows))


def poll(
    job_ids: Sequence[uuid.UUID], seconds: float, is_enough: Callable[[Sequence[Job]], bool]
) -> list[Job]:
    """Read the jobs again and again until `is_enough` or the time is up. No session is held between reads."""
    deadline = time.monotonic() + seconds
    pause = FIRST_PAUSE_S
    while True:
        with services().sessions() as session:
            found = job_queries.load(session, job_ids)
        rows = [found[job_id] for job_id in job_ids if job_id in found]
        left = deadline - time.monotonic()
        if left <= 0 or is_enough(rows):
            return rows
        time.sleep(min(pause, left))
        pause = min(pause * 1.5, LONGEST_PAUSE_S)
