"""A dead man's switch: ends this process when not even its threads run any more.

A decoder that never returns and never lets go of the interpreter stops the lease keeper's thread as well.
This switch is thrown from outside the interpreter, and prints where each thread stands.
"""

import faulthandler
import threading

LEASES = 3  # of silence; the lease keeper ends other hangs sooner
CHECKS = 10  # within that time
_STANDARD_ERROR = 2  # Celery puts an object without a file in sys.stderr's place


class DeadManSwitch:
    """Held back by a thread; one per process."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._hold, name="dead man's switch", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()
        faulthandler.cancel_dump_traceback_later()

    def _hold(self) -> None:
        while True:
            faulthandler.dump_traceback_later(self._seconds, exit=True, file=_STANDARD_ERROR)
            if self._stop.wait(self._seconds / CHECKS):
                return
