"""How many pixels a process decodes at the same time, so that its memory has a bound whatever is uploaded."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class PixelBudget:
    """Lets pictures in, in order of arrival, while their pixels together stay within `most`.

    One that is larger by itself goes alone.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._used = 0
        self._freed = threading.Condition()
        self._first_in_line = threading.Lock()  # else small pictures would overtake a large one for ever

    @contextmanager
    def spent(self, pixels: int) -> Iterator[None]:
        """Wait until the picture fits; its pixels count until the block ends."""
        with self._first_in_line, self._freed:
            self._freed.wait_for(lambda: not self._used or self._used + pixels <= self._most)
            self._used += pixels
        try:
            yield
        finally:
            with self._freed:
                self._used -= pixels
                self._freed.notify()
