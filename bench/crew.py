"""Threads that go on with their work while a block lasts."""

import threading
from typing import Self


class Crew:
    """Each thread runs `_work`, which ends soon after `_stop` is set. `_lock` is for what they share."""

    def __init__(self, number: int) -> None:
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._work, args=(seed,)) for seed in range(number)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _work(self, seed: int) -> None:
        raise NotImplementedError
