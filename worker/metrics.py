"""What a worker process counts and times about its jobs. Labels that the hot path uses are bound here."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter
from typing import Any

from prometheus_client import Counter, Gauge, Histogram, Info

from shared.attempts import Claim, Failure
from shared.models import JobKind, Stage

WAIT, RECORD = "wait", "record"  # beside the stages that a row knows; reports and mails record in their last
_STAGES = {
    JobKind.SCAN: (WAIT, Stage.FETCH, Stage.DECODE, Stage.PREDICT, Stage.DRAW, Stage.STORE, RECORD),
    JobKind.REPORT: (WAIT, Stage.GATHER, Stage.RENDER, Stage.STORE),
    JobKind.MAIL: (WAIT, Stage.GATHER, Stage.SEND),
}
ANALYSED, REJECTED, DONE = "analysed", "rejected", "done"
RETRIED, FAILED, LOST, CRASHED, GIVEN_BACK = "retried", "failed", "lost", "crashed", "given_back"
_ENDS = {JobKind.SCAN: (ANALYSED, REJECTED), JobKind.REPORT: (DONE,), JobKind.MAIL: (DONE,)}
_OTHER_ENDS = (RETRIED, FAILED, LOST, CRASHED, GIVEN_BACK)
_SECONDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000, 3600)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)

_STAGE_SECONDS = Histogram(
    "brain_tumor_stage_seconds",
    "Time of one stage of one job; predict and record: of the whole batch",
    ("kind", "stage"),
    buckets=_SECONDS,
)
_ATTEMPTS = Counter("brain_tumor_job_attempts_total", "Attempts that ended, by how", ("kind", "outcome"))
_FAILURES = Counter(
    "brain_tumor_job_failures_total", "Attempts that failed, by cause", ("kind", "stage", "code", "is_final")
)
REJECTIONS = Counter(
    "brain_tumor_scans_rejected_total", "Pictures that are no brain MRI, by what showed it", ("reason",)
)
BATCH_SIZE = Histogram("brain_tumor_batch_size", "Scans of one claim", buckets=_SIZES)
BATCH_SECONDS = Histogram(
    "brain_tumor_batch_seconds", "Time of a batch from its claim to its commit", buckets=_SECONDS
)
BATCH_LIMIT = Gauge("brain_tumor_batch_limit", "Most scans of a forward pass at the moment")
HALVINGS = Counter(
    "brain_tumor_batch_limit_halvings_total",
    "Times that a forward pass ran out of memory and the limit was halved",
)
LEASES_NOT_RENEWED = Counter("brain_tumor_lease_renewals_failed_total", "Renewals that Postgres did not take")
STANDSTILLS = Counter("brain_tumor_standstills_total", "Looks at which the work stood still")
REPORT_BYTES = Histogram(
    "brain_tumor_report_size_bytes",
    "Size of a rendered PDF",
    buckets=[1e4, 3e4, 1e5, 3e5, 1e6, 3e6, 1e7, 3e7, 1e8],
)
REPORT_SCANS = Histogram("brain_tumor_report_scans", "Scans of a rendered report", buckets=_SIZES)
_MODEL = Info("brain_tumor_model", "The model of this process and what runs it")
MODEL_LOADED = Gauge("brain_tumor_model_loaded", "1 once the model is ready, in a scan worker")
_MODEL_LOAD_SECONDS = Gauge(
    "brain_tumor_model_load_seconds", "Time from the start of loading to the first pass"
)

_SECONDS_OF = {
    (kind, str(stage)): _STAGE_SECONDS.labels(kind, stage)
    for kind, stages in _STAGES.items()
    for stage in stages
}
_ATTEMPTS_OF = {
    (kind, end): _ATTEMPTS.labels(kind, end) for kind, ends in _ENDS.items() for end in (*ends, *_OTHER_ENDS)
}


@contextmanager
def timed(kind: JobKind, stage: str) -> Iterator[None]:
    """Time a stage, also of a job that fails in it."""
    began = perf_counter()
    try:
        yield
    finally:
        took(kind, stage, perf_counter() - began)


def took(kind: JobKind, stage: str, seconds: float) -> None:
    """A stage took so long."""
    _SECONDS_OF[kind, str(stage)].observe(seconds)


def claimed(kind: JobKind, claims: Sequence[Claim]) -> None:
    """These were claimed after they had waited."""
    waited = _SECONDS_OF[kind, WAIT]
    for claim in claims:
        waited.observe(claim.waited_seconds)


def ended(kind: JobKind, outcome: str, number: int = 1) -> None:
    """So many attempts ended like this."""
    _ATTEMPTS_OF[kind, outcome].inc(number)


def failed(kind: JobKind, failures: Sequence[Failure], final: Sequence[Failure]) -> None:
    """These attempts failed, of which `final` will not be tried again."""
    for failure in failures:
        is_final = failure in final
        _FAILURES.labels(kind, failure.stage, failure.code, str(is_final).lower()).inc()
        ended(kind, FAILED if is_final else RETRIED)


def model_loaded(provenance: dict[str, Any], seconds: float) -> None:
    """The model is ready."""
    names = ("name", "version", "engine", "device")
    _MODEL.info({name: str(provenance[name]) for name in names})
    _MODEL_LOAD_SECONDS.set(seconds)
    MODEL_LOADED.set(1)
