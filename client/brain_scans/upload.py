"""Sending a plan: several requests at once, bounded memory, and nothing twice.

Every request carries a key made from the batch, its files' names and their content. It is noted in the
journal before it is sent: whatever happens then, the same request can be sent again and counts once.
"""

import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import partial

import httpx

from brain_scans.answers import PASSING, outcomes_of
from brain_scans.api import Api
from brain_scans.errors import ClientError, StoppedError, UnusableFileError
from brain_scans.journal import FileId, Journal, Outcome
from brain_scans.multipart import FormBody
from brain_scans.plan import Entry, Limits, Plan, Refusal, in_requests
from brain_scans.sources import check_picture

ENVELOPE = 64 * 1024  # of a request: what the form adds to the files
FORM_PER_FILE = 512  # the same for each file: boundary, headers and name
MOST_FILES = 50  # more in one request saves nothing and makes the progress bar jump
MOST_BYTES = 8 * 1024 * 1024
MOST_ROUNDS = 5
ROUND_PAUSE_S = 2.0
TICK_S = 0.2


Work = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Loaded:
    """A file's bytes on their way."""

    id: FileId
    data: bytes


@dataclass(slots=True)
class Tally:
    """What has become of the files so far."""

    accepted: int = 0  # in this run
    already: int = 0  # in an earlier run
    sent_bytes: int = 0
    refused: list[Refusal] = field(default_factory=list)

    @property
    def done(self) -> int:
        return self.accepted + self.already + len(self.refused)


class Uploader:
    """Sends files into one batch. `stop` may be set from anywhere; `changed` is told after each request."""

    def __init__(
        self,
        api: Api,
        journal: Journal,
        limits: Limits,
        stop: threading.Event,
        changed: Callable[[Tally], None],
    ) -> None:
        self.tally = Tally()
        self._api = api
        self._journal = journal
        self._stop = stop
        self._changed = changed
        self._lock = threading.Lock()
        self._repeated: set[str] = set()
        self._failure: BaseException | None = None
        self._largest_file = max(limits.max_bytes - ENVELOPE, 1)
        self._request_bytes = min(self._largest_file, MOST_BYTES)
        self._request_files = max(min(limits.max_files, MOST_FILES), 1)

    def send(self, plan: Plan, parallel: int) -> Tally:
        """Send all that is not settled yet, `parallel` requests at once.

        Raises `StoppedError` after the requests under way have ended, and `ClientError` if the server
        refuses the batch as a whole. In every case the journal knows what was accepted.
        """
        with ThreadPoolExecutor(parallel, "upload") as threads:
            # What was never answered comes first and alone: if it cannot be settled, nothing else is sent.
            for works in (self._repeats(plan), self._rest(plan)):
                self._run(works, threads, parallel)
        return self.tally

    def _run(self, works: Iterable[Work], threads: ThreadPoolExecutor, parallel: int) -> None:
        pending: set[Future[None]] = set()
        try:
            for work in works:
                pending.add(threads.submit(self._guarded, work))
                if len(pending) >= 2 * parallel:
                    pending = self._next_done(pending)
            while pending:
                pending = self._next_done(pending)
        except BaseException:
            self._stop.set()  # the other threads end at their next pause or request
            for future in pending:
                future.cancel()
            raise

    def _guarded(self, work: Work) -> None:
        """Run it; if it fails, no thread begins another request."""
        try:
            work()
        except BaseException as error:
            if not self._stop.is_set():
                self._failure = error
                self._stop.set()
            raise

    def _repeats(self, plan: Plan) -> Iterator[Work]:
        """The requests that were never answered, exactly as they were."""
        by_name = {entry.name: entry for entry in plan.entries}
        for key, files in list(self._journal.unanswered.items()):
            yield partial(self._repeat, key, files, [by_name.get(file.name) for file in files])

    def _rest(self, plan: Plan) -> Iterator[Work]:
        entries = [entry for entry in plan.entries if entry.name not in self._repeated]
        for piece in in_requests(entries, self._request_bytes, self._request_files):
            yield partial(self._take, piece)

    def _next_done(self, pending: set[Future[None]]) -> set[Future[None]]:
        """Wait until one ends. Raises what made a thread fail. The short tick lets a signal through."""
        while True:
            done, left = wait(pending, TICK_S, FIRST_COMPLETED)
            if self._stop.is_set():
                raise self._failure or StoppedError("Stopped.")
            if done:
                return left

    def _repeat(self, key: str, files: Sequence[FileId], entries: Sequence[Entry | None]) -> None:
        """Send a request again that may have been taken. Raises `ClientError` if its files have changed."""
        loaded = []
        for file, entry in zip(files, entries, strict=True):
            found = None
            if entry is not None and entry.patient == file.patient:
                with suppress(UnusableFileError):
                    found = self._load(entry)
            if found is None or found.id != file:
                raise ClientError(
                    f"{file.name} was changed, moved or given to another patient while a request with it was "
                    "unanswered. Put it back, or start anew with --new."
                )
            loaded.append(found)
        self._deliver_all(loaded, key)
        self._repeated.update(file.name for file in files)

    def _take(self, entries: Sequence[Entry]) -> None:
        """Read some files of one patient and send those that are not settled."""
        fresh: list[Loaded] = []
        for entry in entries:
            if self._stop.is_set():
                raise StoppedError("Stopped.")
            try:
                loaded = self._load(entry)
            except UnusableFileError as error:
                self._count(refused=[Refusal(entry.name, str(error), error.code)])
                continue
            settled = self._journal.settled.get(loaded.id)
            if settled is None:
                fresh.append(loaded)
            elif settled.is_accepted:
                self._count(already=1)
            else:
                self._count(refused=[Refusal(entry.name, settled.error, settled.code)])
        self._deliver_all(fresh)

    def _load(self, entry: Entry) -> Loaded:
        data = entry.read(self._largest_file)
        check_picture(data)
        digest = hashlib.sha256(data).hexdigest()
        return Loaded(FileId(entry.name, len(data), digest, entry.patient), data)

    def _deliver_all(self, files: Sequence[Loaded], key: str | None = None) -> None:
        """Send files, and again those that the server could not take just now, some times."""
        for attempt in range(MOST_ROUNDS):
            if not files:
                return
            if attempt:
                self._api.wait(ROUND_PAUSE_S)
            files, key = self._deliver(files, key), None
        message = "The server could not store the file. Run the command again later."
        self._count(refused=[Refusal(file.id.name, message, PASSING) for file in files])

    def _deliver(self, files: Sequence[Loaded], key: str | None = None) -> list[Loaded]:
        """Send one request and note the answer. Returns the files that the server could not take just now."""
        if self._stop.is_set():
            raise StoppedError("Stopped.")
        ids = [file.id for file in files]
        key = key or request_key(str(self._journal.batch_id), ids)
        self._journal.sending(key, ids)
        response = self._post(files, key)
        if response.status_code == httpx.codes.REQUEST_ENTITY_TOO_LARGE and len(files) > 1:
            self._journal.withdrawn(key)
            middle = len(files) // 2
            return [*self._deliver(files[:middle]), *self._deliver(files[middle:])]
        outcomes = outcomes_of(response, len(files))
        self._journal.answered(key, outcomes)
        self._note(files, outcomes)
        return [file for file, outcome in zip(files, outcomes, strict=True) if outcome is None]

    def _post(self, files: Sequence[Loaded], key: str) -> httpx.Response:
        pictures = [(file.id.name.rsplit("/", 1)[-1], file.data) for file in files]
        fields = {"patient_id": str(files[0].id.patient)}
        path = f"/api/batches/{self._journal.batch_id}/scans"
        with closing(FormBody(fields, pictures, f"brain-scans-{key[:40]}")) as body:
            return self._api.request("POST", path, key=key, content=body, headers=body.headers)

    def _note(self, files: Sequence[Loaded], outcomes: Sequence[Outcome | None]) -> None:
        refused = [
            Refusal(file.id.name, outcome.error, outcome.code)
            for file, outcome in zip(files, outcomes, strict=True)
            if outcome is not None and not outcome.is_accepted
        ]
        accepted = sum(outcome is not None and outcome.is_accepted for outcome in outcomes)
        self._count(accepted=accepted, sent=sum(len(file.data) for file in files), refused=refused)

    def _count(
        self, accepted: int = 0, already: int = 0, sent: int = 0, refused: Sequence[Refusal] = ()
    ) -> None:
        with self._lock:
            self.tally.accepted += accepted
            self.tally.already += already
            self.tally.sent_bytes += sent
            self.tally.refused += refused
            self._changed(self.tally)


def request_key(batch_id: str, files: Sequence[FileId]) -> str:
    """The same for the same files of the same patient in the same batch, and for nothing else."""
    digest = hashlib.sha256(batch_id.encode())
    for file in files:
        digest.update(repr(tuple(file)).encode())
    return digest.hexdigest()
