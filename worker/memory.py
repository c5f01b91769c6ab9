"""How many pictures one forward pass may hold: fewer once the device ran out of memory, more again later.

What else uses the device, and how fragmented its memory is, changes while a worker runs for weeks; so a size
that failed is not tried with every batch, and not given up for ever either.
"""

from shared.logs import get_logger
from worker import metrics

TRY_LARGER_AFTER = 50  # batches that went well
# PyTorch's allocators, OpenVINO's and the operating system's; none of them has a type that all share.
_PHRASES = ("out of memory", "not enough memory", "can't allocate memory", "cannot allocate memory")

log = get_logger(__name__)


def is_out_of_memory(error: BaseException) -> bool:
    """True if memory was what lacked. By name and words, so that nothing here imports PyTorch."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in _PHRASES)


class BatchLimit:
    """The largest batch of this process at the moment; between 1 and `most`."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._now = most
        self._went_well = 0

    @property
    def now(self) -> int:
        return self._now

    def ran_out(self, size: int) -> None:
        """A batch of this size did not fit: half of it from now on."""
        self._went_well = 0
        lower = max(size // 2, 1)
        if lower < self._now:
            self._now = lower
            metrics.HALVINGS.inc()
            log.warning("out of memory, batches are smaller from now on", failed=size, largest=lower)

    def went_well(self) -> None:
        """A batch fitted. After enough of them twice the size is tried again."""
        if self._now == self._most:
            return
        self._went_well += 1
        if self._went_well >= TRY_LARGER_AFTER:
            self._went_well = 0
            self._now = min(self._now * 2, self._most)
            log.info("larger batches are tried again", largest=self._now)
