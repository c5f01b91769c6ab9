"""What waits, what failed lately and which workers are alive, as the rows in Postgres say.

Read at a scrape, and kept for a moment. While Postgres does not answer there are no figures but that one.
"""

import time
from collections.abc import Iterable
from typing import Any

import psycopg2
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import func, select
from sqlalchemy.dialects import postgresql

from shared.heartbeat import SILENT_AFTER_S
from shared.logs import get_logger
from shared.metrics.questions import Rows, ask_in_time
from shared.models import UNFINISHED, Job, JobKind, JobStatus, Lane, Worker

KEPT_S = 5.0
PATIENCE_S = 3.0
ROLES = ("scan", "report")
LATELY_S = 3600.0  # older failures are many, and no index finds them

log = get_logger(__name__)


class BacklogCollector(Collector):
    """The figures of one database; `url` holds its password."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._known: list[Metric] = []
        self._known_until = 0.0

    def collect(self) -> Iterable[Metric]:
        if time.monotonic() >= self._known_until:
            self._known = self._read()
            self._known_until = time.monotonic() + KEPT_S
        return self._known

    def describe(self) -> Iterable[Metric]:
        """Nothing: a registry would ask Postgres to find out."""
        return []

    def _read(self) -> list[Metric]:
        began = time.perf_counter()
        try:
            answers = ask_in_time(self._url, [_sql(query) for query in _queries()], PATIENCE_S)
        except (psycopg2.Error, TimeoutError) as error:
            log.warning("queue not read for metrics", cause=type(error).__name__)
            return [_up(is_up=False)]
        unfinished, batches, failed, workers = answers
        seconds = GaugeMetricFamily(
            "brain_tumor_backlog_read_seconds",
            "Time that the figures of the queue took",
            time.perf_counter() - began,
        )
        open_batches = GaugeMetricFamily(
            "brain_tumor_batches_open", "Batches of which a job is unfinished", batches[0][0]
        )
        return [_up(is_up=True), seconds, open_batches, *_queue(unfinished), _failed(failed), _alive(workers)]


def _queries() -> list[Any]:
    def ago(seconds: float) -> Any:
        return func.now() - func.make_interval(0, 0, 0, 0, 0, 0, seconds)

    age = func.extract("epoch", func.now() - func.min(Job.created_at))
    unfinished = Job.status.in_(UNFINISHED)
    return [
        select(Job.kind, Job.lane, Job.status, func.count(), age)
        .where(unfinished)
        .group_by(Job.kind, Job.lane, Job.status),
        select(func.count(Job.batch_id.distinct())).where(unfinished),
        select(Job.kind, Job.error_code, func.count())
        .where(Job.finished_at > ago(LATELY_S), Job.status == JobStatus.FAILED)
        .group_by(Job.kind, Job.error_code),
        select(Worker.role, func.count())
        .where(Worker.last_seen_at > ago(SILENT_AFTER_S))
        .group_by(Worker.role),
    ]


def _sql(query: Any) -> str:
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    return str(query.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))


def _up(is_up: bool) -> Metric:
    return GaugeMetricFamily("brain_tumor_database_up", "1 if Postgres answered in time", float(is_up))


def _queue(rows: Rows) -> tuple[Metric, Metric]:
    labels = ("kind", "lane", "status")
    depth = GaugeMetricFamily("brain_tumor_queue_jobs", "Unfinished jobs", labels=labels)
    oldest = GaugeMetricFamily(
        "brain_tumor_queue_oldest_job_age_seconds",
        "Age of the oldest unfinished job, 0 without any",
        labels=labels,
    )
    found: dict[tuple[str, ...], tuple[int, float]] = {
        (kind, lane, status): (number, float(age)) for kind, lane, status, number, age in rows
    }
    for key in ((str(k), str(lane), str(s)) for k in JobKind for lane in Lane for s in UNFINISHED):
        number, age = found.get(key, (0, 0.0))
        depth.add_metric(key, number)
        oldest.add_metric(key, max(age, 0.0))
    return depth, oldest


def _failed(rows: Rows) -> Metric:
    failed = GaugeMetricFamily(
        "brain_tumor_jobs_failed_lately",
        "Jobs that failed for good in the last hour",
        labels=("kind", "code"),
    )
    for kind, code, number in rows:
        failed.add_metric((kind, code or "none"), number)
    return failed


def _alive(rows: Rows) -> Metric:
    alive = GaugeMetricFamily(
        "brain_tumor_workers_alive", "Worker processes whose heartbeat is fresh", labels=("role",)
    )
    found: dict[str, int] = dict(rows)
    for role in ROLES:
        alive.add_metric((role,), found.get(role, 0))
    return alive
