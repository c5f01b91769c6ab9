"""Deletes originals from the staging store once the image store has them and the row says so."""

from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait

from shared.errors import StorageError
from shared.logs import get_logger
from shared.services import Services

THREADS = 2
PATIENCE_S = 5.0

log = get_logger(__name__)


class StagingCleaner:
    """Deletes beside the work: a staging store that does not answer holds nothing up.

    Best effort: what is not deleted costs space and nothing else, since no row names it any more.
    """

    def __init__(self, services: Services) -> None:
        self._store = services.staging
        self._threads = ThreadPoolExecutor(THREADS, "staging")
        self._pending: set[Future[None]] = set()

    def discard(self, keys: Iterable[str]) -> None:
        """Delete these soon. Call it after the commit that says that they are not needed."""
        self._pending = {future for future in self._pending if not future.done()}
        self._pending |= {self._threads.submit(self._delete, key) for key in keys}

    def settle(self) -> None:
        """Wait a moment for what is being deleted."""
        wait(self._pending, timeout=PATIENCE_S)

    def close(self) -> None:
        """Finish what has begun; drop the rest."""
        self._threads.shutdown(cancel_futures=True)

    def _delete(self, key: str) -> None:
        if self._store is None:
            return
        try:
            self._store.delete(key)
        except StorageError as error:
            log.warning("staged original not deleted", key=key, cause=str(error))
