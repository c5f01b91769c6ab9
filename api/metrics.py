"""What an API process counts and times about requests and uploads. Labels are bound once and kept."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from prometheus_client import Counter, Gauge, Histogram

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"})
OTHER_METHOD = "other"
ACCEPTED, REFUSED, NO_CODE = "accepted", "refused", "none"

_SECONDS = Histogram(
    "brain_tumor_http_request_duration_seconds",
    "Time until the answer begins; held: the request waited for jobs because its sender wished so",
    ("method", "route", "held"),
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
_REQUESTS = Counter("brain_tumor_http_requests_total", "Answered requests", ("method", "route", "status"))
_IN_FLIGHT = Gauge(
    "brain_tumor_http_requests_in_flight", "Requests that have no answer yet", multiprocess_mode="livesum"
)
_HELD = Gauge(
    "brain_tumor_http_requests_held", "Requests that wait for jobs at the moment", multiprocess_mode="livesum"
)
NOT_HELD = Counter(
    "brain_tumor_http_waits_refused_total", "Requests that were not held because too many are already"
)
_UPLOADS = Counter(
    "brain_tumor_uploaded_files_total", "Files of uploads, by what became of them", ("outcome", "code")
)
_bound_seconds: dict[tuple[str, str, bool], Histogram] = {}
_bound_requests: dict[tuple[str, str, int], Counter] = {}


def request_began() -> None:
    """A request came."""
    _IN_FLIGHT.inc()


def request_gone() -> None:
    """It is dealt with, whatever became of it."""
    _IN_FLIGHT.dec()


def request_answered(method: str, route: str, status: int, seconds: float, was_held: bool) -> None:
    """`route` is a rule such as `/api/jobs/<id>`: of paths there are too many, and they hold ids."""
    method = method if method in METHODS else OTHER_METHOD
    timed = _bound_seconds.get((method, route, was_held))
    if timed is None:
        timed = _SECONDS.labels(method, route, str(was_held).lower())
        _bound_seconds[method, route, was_held] = timed
    timed.observe(seconds)
    counted = _bound_requests.get((method, route, status))
    if counted is None:
        counted = _bound_requests[method, route, status] = _REQUESTS.labels(method, route, status)
    counted.inc()


@contextmanager
def request_held() -> Iterator[None]:
    """While a request waits for jobs."""
    _HELD.inc()
    try:
        yield
    finally:
        _HELD.dec()


def files_taken(accepted: int, refusals: Sequence[str]) -> None:
    """So many files of an upload were stored, and these codes say why others were not."""
    if accepted:
        _UPLOADS.labels(ACCEPTED, NO_CODE).inc(accepted)
    for code in refusals:
        _UPLOADS.labels(REFUSED, code).inc()
