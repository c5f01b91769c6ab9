"""`Prefer: wait=N` and `?wait=N`: hold a request until there is news of its jobs, or the time is up."""

import math
import re
import time
import uuid
from collections.abc import Callable, Sequence
from typing import TypeVar

from flask import g, request

from api import metrics
from api.wiring import services, wiring
from shared import job_queries
from shared.models import UNFINISHED, Job, JobStatus

Seen = TypeVar("Seen")
_WAIT = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,9})\"?", re.IGNORECASE)
POLL_AFTER_S = 1  # what clients are told
FIRST_PAUSE_S = 0.015  # most results of a lone scan are there within 0.1 s
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


def wait_for_news(job_ids: Sequence[uuid.UUID], seconds: float) -> None:
    """Return once the status of one of the jobs is another, at once if one has ended, or when time is up."""
    before = _statuses(job_ids)
    has_ended = any(status not in UNFINISHED for status in before.values())
    if before and not has_ended:
        _hold(lambda: _statuses(job_ids), seconds, lambda now: now != before)


def poll(
    job_ids: Sequence[uuid.UUID], seconds: float, is_enough: Callable[[Sequence[Job]], bool]
) -> list[Job]:
    """Read the jobs again and again until `is_enough` or the time is up."""
    return _hold(lambda: _read(job_ids), seconds, is_enough)


def _hold(read: Callable[[], Seen], seconds: float, is_enough: Callable[[Seen], bool]) -> Seen:
    """Read again and again until `is_enough` or the time is up. No session is held between reads.

    While as many requests are held as may be, it is read once: who waits must leave threads to others.
    """
    seen = read()
    if seconds <= 0 or is_enough(seen):
        return seen
    if not wiring().waiting_slots.acquire(blocking=False):
        metrics.NOT_HELD.inc()
        return seen
    g.was_held = True
    try:
        with metrics.request_held():
            return _hold_on(read, time.monotonic() + seconds, is_enough)
    finally:
        wiring().waiting_slots.release()


def _hold_on(read: Callable[[], Seen], deadline: float, is_enough: Callable[[Seen], bool]) -> Seen:
    pause = FIRST_PAUSE_S
    while True:
        time.sleep(max(min(pause, deadline - time.monotonic()), 0))
        seen = read()
        if time.monotonic() >= deadline or is_enough(seen):
            return seen
        pause = min(pause * 1.5, LONGEST_PAUSE_S)


def _statuses(job_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, JobStatus]:
    with services().sessions() as session:
        return job_queries.statuses(session, job_ids)


def _read(job_ids: Sequence[uuid.UUID]) -> list[Job]:
    """Those that exist, in the order of `job_ids`."""
    with services().sessions() as session:
        found = job_queries.load(session, job_ids)
    return [found[job_id] for job_id in job_ids if job_id in found]
