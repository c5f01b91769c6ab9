"""How the pool's child learns that its worker is to stop, and stops a worker that cannot start.

Celery tells only the parent, which then waits for the child's task: that may take DRAIN_SECONDS. So the
parent passes the word on, and the child takes no more work. The signal is one that does nothing to a process
that does not listen, such as a child that is only starting.
"""

import os
import signal
import threading
from contextlib import suppress
from typing import NoReturn

from billiard.process import active_children

from shared.errors import ModelFileError
from shared.logs import get_logger

log = get_logger(__name__)

STOP_SIGNAL = signal.SIGURG


def listen(stopping: threading.Event) -> None:
    """Set the event when the parent says so. Call it in the child's main thread."""
    signal.signal(STOP_SIGNAL, lambda *_: stopping.set())


def pass_on() -> None:
    """Tell the children of this process."""
    for child in active_children():
        with suppress(ProcessLookupError):
            os.kill(child.pid, STOP_SIGNAL)


def stop_worker(error: Exception) -> NoReturn:
    """A process that cannot start must stop the whole worker: its pool would try again and again."""
    if isinstance(error, ModelFileError):
        log.critical("worker stops: the model cannot be used", reason=str(error))
    else:
        log.critical("worker stops: it cannot start", exc_info=error)
    os.kill(os.getppid(), signal.SIGTERM)
    os._exit(1)
