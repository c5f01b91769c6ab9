"""Claims due scans and makes them ready for the model: claim -> fetch -> decode.

Claims are made one after another; the pictures of several batches may be on their way at once.
"""

import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from shared import jobs
from shared.attempts import Claim, Failure
from shared.errors import BrainScanError
from shared.failpoints import failpoint
from shared.models import JobKind, Scan, Stage
from shared.services import Services
from worker import metrics
from worker.leases import LeaseKeeper, process_name
from worker.memory import BatchLimit
from worker.preprocessing import prepare
from worker.slices import MOST_KEPT_PIXELS, Original, Slice, decode, fetch
from worker.traces import about_job

BULK_EVERY = 4  # each fourth batch takes bulk work first, so that it never starves
MOST_AHEAD = 2
LATENCY_PER_BATCH_S = 0.1  # of the store; for each so much another batch is fetched ahead
_ORIGINALS = select(Scan.id, Scan.scan_id, Scan.original_path, Scan.is_staged, Scan.sha256).where(
    Scan.id.in_(bindparam("ids", expanding=True))
)


@dataclass(frozen=True, slots=True)
class PreparedBatch:
    """What one claim brought: slices for the model, and scans that failed before it."""

    slices: Sequence[Slice]
    failures: Sequence[Failure]
    scan_ids: Mapping[Claim, str]
    began: float  # time.perf_counter() at the claim

    @property
    def claims(self) -> list[Claim]:
        return [item.claim for item in self.slices] + [item.claim for item in self.failures]


@dataclass(frozen=True, slots=True)
class ClaimedBatch:
    """Scans whose pictures are being fetched and decoded."""

    scan_ids: Mapping[Claim, str]
    began: float  # time.perf_counter() at the claim
    is_suspect: bool  # it may kill this process, and with it whatever else is in flight
    is_full: bool  # more is likely to wait
    loads: list[Future[Slice | Failure]] = field(default_factory=list)
    fetch_seconds: list[float] = field(default_factory=list)  # one for each picture that came
    one_came: threading.Event = field(default_factory=threading.Event)

    def settle(self) -> None:
        """Wait until nothing is done for it any more."""
        wait(self.loads)


class BatchSource:
    """The next batches of a worker process."""

    def __init__(
        self,
        services: Services,
        input_size: int,
        leases: LeaseKeeper,
        limit: BatchLimit,
        turns: threading.Semaphore,
        stopping: threading.Event,
    ) -> None:
        """`leases` holds what is claimed; a picture is decoded while one of `turns` is held."""
        self._services = services
        self._settings = services.settings
        self._input_size = input_size
        self._owner = process_name()
        self._leases = leases
        self._limit = limit
        self._turns = turns
        self._stopping = stopping
        self._threads = ThreadPoolExecutor(self._settings.chosen_io_threads, "fetch")
        self._claimed_batches = 0
        self._suspects: frozenset[Claim] = frozenset()
        self._latency_s = 0.0

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown()

    def ahead_of(self, batch: ClaimedBatch) -> int:
        """How many batches to claim before this one is loaded: the more, the later the store answers.

        None at a disk: whoever comes with a small upload waits behind what is claimed already. Waits a moment
        for the first picture, so that a store that has only now become slow is noticed.
        """
        if not batch.is_full:
            return 0
        if self._latency_s < LATENCY_PER_BATCH_S and not batch.one_came.wait(LATENCY_PER_BATCH_S):
            self._latency_s = LATENCY_PER_BATCH_S
        return min(int(self._latency_s / LATENCY_PER_BATCH_S), MOST_AHEAD)

    def claim_next(self) -> ClaimedBatch | None:
        """Claim a batch and start to load it; None when nothing is due or nothing more is to be taken.

        For one thread at a time: a suspect is claimed with nothing else in flight, and nothing beside it.
        """
        if self._stopping.is_set() or not self._suspects.isdisjoint(self._leases.held()):
            return None
        began = time.perf_counter()
        most = self._limit.now
        with self._services.sessions.begin() as session:
            claims, is_suspect = self._claim(session, most)
            ids = [claim.subject_id for claim in claims]
            rows = session.execute(_ORIGINALS, {"ids": ids}).all() if ids else []
        if not claims:
            return None
        self._claimed_batches += 1
        self._suspects = frozenset(claims if is_suspect else ())
        self._leases.hold(claims)
        metrics.claimed(JobKind.SCAN, claims)
        metrics.BATCH_SIZE.observe(len(claims))
        failpoint("claimed")
        found = {row.id: row for row in rows}
        scan_ids = {claim: found[claim.subject_id].scan_id for claim in claims}
        batch = ClaimedBatch(scan_ids, began, is_suspect, is_full=len(claims) >= most)
        for claim, scan_id in scan_ids.items():
            row = found[claim.subject_id]
            original = Original(row.original_path, row.is_staged, row.sha256)
            batch.loads.append(self._threads.submit(self._load, batch, claim, scan_id, original))
        return batch

    def load(self, batch: ClaimedBatch) -> PreparedBatch:
        """Wait for the pictures of a batch."""
        batch.settle()
        loaded = [load.result() for load in batch.loads]
        # The quickest picture tells what the store takes, the others what they waited for each other.
        self._latency_s = min(batch.fetch_seconds, default=self._latency_s)
        return PreparedBatch(
            slices=[item for item in loaded if isinstance(item, Slice)],
            failures=[item for item in loaded if isinstance(item, Failure)],
            scan_ids=batch.scan_ids,
            began=batch.began,
        )

    def _claim(self, session: Session, most: int) -> tuple[list[Claim], bool]:
        """What is claimed, and whether that may kill this process: only taken with nothing in flight."""
        lease = self._settings.lease_seconds
        if not self._leases.held():
            suspects = jobs.claim_suspect(session, JobKind.SCAN, self._owner, lease)
            if suspects:
                return suspects, True
        bulk_first = self._claimed_batches % BULK_EVERY == BULK_EVERY - 1
        return jobs.claim_fresh(session, JobKind.SCAN, self._owner, most, lease, bulk_first), False

    def _load(self, batch: ClaimedBatch, claim: Claim, scan_id: str, original: Original) -> Slice | Failure:
        stage = Stage.FETCH
        try:
            began = time.perf_counter()
            with about_job(claim, scan_id), metrics.timed(JobKind.SCAN, stage):
                data = fetch(self._services, original)
            batch.fetch_seconds.append(time.perf_counter() - began)
            batch.one_came.set()
            failpoint("fetched")
            stage = Stage.DECODE
            with self._turns, metrics.timed(JobKind.SCAN, stage):
                decoded = decode(self._services, original, data)
                failpoint("decoded", decoded.picture.size)
                prepared = prepare(decoded.picture, self._input_size)
            pixels = decoded.picture.width * decoded.picture.height
            kept = decoded if pixels <= MOST_KEPT_PIXELS else None
            loaded = Slice(claim, scan_id, original, pixels, prepared, kept)
        except BrainScanError as error:
            return Failure.of(claim, error, stage)
        self._leases.progress()
        return loaded
