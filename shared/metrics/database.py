"""How the pool of connections to Postgres is used."""

import time
from typing import Any

from prometheus_client import Counter, Gauge, Histogram
from sqlalchemy import Engine, QueuePool, event
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import PoolProxiedConnection

CHECKED_OUT = Gauge(
    "brain_tumor_database_pool_checked_out",
    "Connections that are in use",
    multiprocess_mode="livesum",
)
SIZE = Gauge(
    "brain_tumor_database_pool_size", "Connections that are kept open at most", multiprocess_mode="livesum"
)
LIMIT = Gauge(
    "brain_tumor_database_pool_limit",
    "Connections that may be in use, those beyond the kept ones included",
    multiprocess_mode="livesum",
)
WAIT = Histogram(
    "brain_tumor_database_pool_wait_seconds",
    "Time until a connection was there: taken from the pool, tried out or made",
    buckets=(0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10),
)
TIMEOUTS = Counter(
    "brain_tumor_database_pool_timeouts_total", "Times that no connection became free before the time-out"
)
_COUNTED = "counted as in use"


class MeasuredPool(QueuePool):
    """SQLAlchemy's usual pool, which counts what it gives."""

    def connect(self) -> PoolProxiedConnection:
        began = time.perf_counter()
        try:
            connection = super().connect()
        except PoolTimeoutError:
            TIMEOUTS.inc()
            raise
        WAIT.observe(time.perf_counter() - began)
        connection.record_info[_COUNTED] = True  # type: ignore[index]  # None only once it is detached
        CHECKED_OUT.inc()
        return connection


def count_returns(engine: Engine, size: int, overflow: int) -> None:
    """Count what comes back to this engine's pool too, and say how large the pool is."""
    SIZE.inc(size)
    LIMIT.inc(size + overflow)

    @event.listens_for(engine, "checkin")
    def returned(_: Any, record: Any) -> None:
        if record.record_info.pop(_COUNTED, False):
            CHECKED_OUT.dec()
