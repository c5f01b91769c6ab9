"""Queue and task names, the Celery application, and the port through which workers are woken.

A message is only a hint that work may be waiting: it carries the ids of a job and of its batch and nothing
else, it may be lost or doubled, and the sweeper sends it again. The truth is the job row.
"""

import math
import time
import uuid
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

from celery import Celery
from kombu import Queue as KombuQueue
from kombu.exceptions import OperationalError
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from shared.logs import get_logger
from shared.metrics.upkeep import NOT_SENT, SENT, WAKE_UPS
from shared.models import Job, JobKind, Lane
from shared.settings import Settings

TASK_ANALYSE = "scans.analyse"
TASK_RENDER = "reports.render"
TASK_SEND_MAIL = "mail.send"
TASK_SWEEP = "system.sweep"

QUEUE_INTERACTIVE = "scans.interactive"
QUEUE_BULK = "scans.bulk"
QUEUE_REPORTS = "reports"
QUEUE_MAIL = "mail"
QUEUE_SYSTEM = "system"
QUEUES = (QUEUE_INTERACTIVE, QUEUE_BULK, QUEUE_REPORTS, QUEUE_MAIL, QUEUE_SYSTEM)

_TASKS = {JobKind.SCAN: TASK_ANALYSE, JobKind.REPORT: TASK_RENDER, JobKind.MAIL: TASK_SEND_MAIL}
_QUEUES_OF_ONE = {JobKind.REPORT: QUEUE_REPORTS, JobKind.MAIL: QUEUE_MAIL}  # done one at a time, in one lane

MAX_HINTS = 64  # per call; a task drains the backlog, so more would only be no-ops
PAUSE_AFTER_FAILURE_S = 5.0

log = get_logger(__name__)


class Hint(NamedTuple):
    """A job that waits, and the batch that it came with."""

    job_id: uuid.UUID
    batch_id: uuid.UUID | None = None

    def __str__(self) -> str:
        """What Flower shows as the arguments of the task."""
        return f"batch {self.batch_id}, job {self.job_id}" if self.batch_id else f"job {self.job_id}"


def hints(jobs: Iterable[Job]) -> list[Hint]:
    return [Hint(job.id, job.batch_id) for job in jobs]


class Queue(Protocol):
    """Wakes workers. Never raises: what could not be sent is sent later by the sweeper."""

    def wake(self, kind: JobKind, lane: Lane, waiting: Sequence[Hint]) -> bool:
        """Send a hint for each claim that the `waiting` jobs can fill. True if all were accepted."""
        ...

    def waiting_hints(self, kind: JobKind, lane: Lane) -> int:
        """Hints that no worker has taken yet; 0 when the broker does not answer."""
        ...

    def is_up(self) -> bool:
        """True if the broker answers."""
        ...


def make_celery(settings: Settings, include: Sequence[str] = ()) -> Celery:
    """The Celery application of the API, which only sends, and of workers, whose tasks `include` names."""
    app = Celery("brain_tumor", broker=settings.redis_url.get_secret_value(), include=list(include))
    app.conf.update(
        task_queues=[KombuQueue(name) for name in QUEUES],
        task_default_queue=QUEUE_SYSTEM,
        task_ignore_result=True,
        task_store_errors_even_if_ignored=False,
        task_acks_late=True,
        task_serializer="json",
        accept_content=["json"],
        worker_prefetch_multiplier=1,
        worker_proc_alive_timeout=120,  # a child loads a model; with the default 4 s it is killed for ever
        worker_send_task_events=True,
        task_send_sent_event=True,
        worker_hijack_root_logger=False,
        broker_connection_retry_on_startup=True,
        broker_transport_options={
            "socket_timeout": 5,
            "socket_connect_timeout": 2,
            "health_check_interval": 25,
            "visibility_timeout": 300,
            "unacked_restore_interval": 10,
            "unacked_restore_throttle": 1,
        },
        beat_schedule={
            "sweep": {
                "task": TASK_SWEEP,
                "schedule": settings.sweep_seconds,
                "options": {"queue": QUEUE_SYSTEM, "expires": settings.sweep_seconds * 2},
            }
        },
    )
    return app


def queue_of(kind: JobKind, lane: Lane) -> str:
    scans = QUEUE_INTERACTIVE if lane == Lane.INTERACTIVE else QUEUE_BULK
    return _QUEUES_OF_ONE.get(kind, scans)


class CeleryQueue:
    """The `Queue` port over Celery and Redis."""

    def __init__(self, app: Celery, redis: Redis, batch_size: int) -> None:
        self._app = app
        self._redis = redis
        self._batch_size = batch_size
        self._paused_until = 0.0

    def wake(self, kind: JobKind, lane: Lane, waiting: Sequence[Hint]) -> bool:
        if time.monotonic() < self._paused_until:
            WAKE_UPS.labels(NOT_SENT).inc()
            return False
        if not self.is_up():  # asked first, because Celery's own connection tries for six seconds
            return self._pause(kind, len(waiting), "no answer to a ping")
        step = 1 if kind in _QUEUES_OF_ONE else self._batch_size
        count = min(math.ceil(len(waiting) / step), MAX_HINTS)
        try:
            for hint in waiting[: count * step : step]:
                self._app.send_task(
                    _TASKS[kind],
                    args=[str(hint.job_id)],
                    argsrepr=str(hint),  # shown only: workers of another version are called as before
                    queue=queue_of(kind, lane),
                    retry=False,
                )
        except (OperationalError, RedisError, OSError) as error:
            return self._pause(kind, len(waiting), type(error).__name__)
        WAKE_UPS.labels(SENT).inc()
        return True

    def _pause(self, kind: JobKind, jobs: int, cause: str) -> bool:
        """Send nothing for a while: neither this request nor the next may wait for an ill broker again."""
        self._paused_until = time.monotonic() + PAUSE_AFTER_FAILURE_S
        WAKE_UPS.labels(NOT_SENT).inc()
        log.warning("wake-up not sent, the sweeper will", kind=kind, jobs=jobs, cause=cause)
        return False

    def is_up(self) -> bool:
        try:
            return bool(self._redis.ping())
        except RedisError:
            return False

    def waiting_hints(self, kind: JobKind, lane: Lane) -> int:
        try:
            return int(self._redis.llen(queue_of(kind, lane)))
        except RedisError:
            return 0


def make_queue(settings: Settings) -> CeleryQueue:
    """The queue as the API and the workers use it."""
    redis = Redis.from_url(
        settings.redis_url.get_secret_value(),
        socket_timeout=2,
        socket_connect_timeout=2,
        retry=Retry(NoBackoff(), retries=1),  # once: a pooled connection may have died with the last server
    )
    return CeleryQueue(make_celery(settings), redis, settings.batch_size)
