"""Claims due scans and makes them ready for the model: claim -> fetch -> decode."""

import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from sqlalchemy import select
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


@dataclass(frozen=True, slots=True)
class PreparedBatch:
    """What one claim brought: slices for the model, and scans that failed before it."""

    slices: Sequence[Slice]
    failures: Sequence[Failure]
    scan_ids: Mapping[Claim, str]
    began: float  # time.perf_counter() at the claim
    is_suspect: bool  # it may kill this process, and with it whatever else is in flight

    @property
    def claims(self) -> list[Claim]:
        return [item.claim for item in self.slices] + [item.claim for item in self.failures]


class BatchSource:
    """The next batch of a worker process, one call at a time."""

    def __init__(
        self,
        services: Services,
        input_size: int,
        leases: LeaseKeeper,
        limit: BatchLimit,
        pictures: ThreadPoolExecutor,
        stopping: threading.Event,
    ) -> None:
        """`leases` holds what is claimed; `pictures` runs the fetching and decoding."""
        self._services = services
        self._settings = services.settings
        self._input_size = input_size
        self._owner = process_name()
        self._leases = leases
        self._limit = limit
        self._pictures = pictures
        self._stopping = stopping
        self._claimed_batches = 0

    def next_batch(self) -> PreparedBatch | None:
        """Claim, fetch and decode the next batch; None when nothing is due or nothing more is to be taken."""
        if self._stopping.is_set():
            return None
        began = time.perf_counter()
        with self._services.sessions.begin() as session:
            claims, is_suspect = self._claim(session)
            query = select(Scan.id, Scan.scan_id, Scan.original_path, Scan.is_staged, Scan.sha256)
            rows = (
                session.execute(query.where(Scan.id.in_([c.subject_id for c in claims]))).all()
                if claims
                else []
            )
        if not claims:
            return None
        self._claimed_batches += 1
        self._leases.hold(claims)
        metrics.claimed(JobKind.SCAN, claims)
        metrics.BATCH_SIZE.observe(len(claims))
        failpoint("claimed")
        found = {
            row.id: (row.scan_id, Original(row.original_path, row.is_staged, row.sha256)) for row in rows
        }
        loaded = list(self._pictures.map(lambda c: self._load(c, *found[c.subject_id]), claims))
        return PreparedBatch(
            slices=[item for item in loaded if isinstance(item, Slice)],
            failures=[item for item in loaded if isinstance(item, Failure)],
            scan_ids={claim: found[claim.subject_id][0] for claim in claims},
            began=began,
            is_suspect=is_suspect,
        )

    def _claim(self, session: Session) -> tuple[list[Claim], bool]:
        """What is claimed, and whether that may kill this process: only taken with nothing in flight."""
        lease = self._settings.lease_seconds
        if not self._leases.held():
            suspects = jobs.claim_suspect(session, JobKind.SCAN, self._owner, lease)
            if suspects:
                return suspects, True
        bulk_first = self._claimed_batches % BULK_EVERY == BULK_EVERY - 1
        fresh = jobs.claim_fresh(session, JobKind.SCAN, self._owner, self._limit.now, lease, bulk_first)
        return fresh, False

    def _load(self, claim: Claim, scan_id: str, original: Original) -> Slice | Failure:
        stage = Stage.FETCH
        try:
            with about_job(claim, scan_id), metrics.timed(JobKind.SCAN, stage):
                data = fetch(self._services, original)
            failpoint("fetched")
            stage = Stage.DECODE
            with metrics.timed(JobKind.SCAN, stage):
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
