"""Celery's entry: settings -> services -> tasks; the model is loaded once per process.

Run with `celery -A worker.app worker -P prefork -c 1 --pool-start-method spawn`; `WORKER_ROLE` says whether
the process analyses scans or renders reports.
"""

import sys
from typing import TYPE_CHECKING, Any

from celery.signals import setup_logging, worker_process_init, worker_process_shutdown, worker_shutting_down

from shared import failpoints
from shared.logs import configure_logging
from shared.queue import make_celery
from shared.settings import SettingsError, load_settings
from worker.stopping import pass_on, stop_worker

if TYPE_CHECKING:
    from worker.process import WorkerProcess

LEASES_PER_TASK = 60

try:
    settings = load_settings()
except SettingsError as error:
    sys.exit(str(error))
failpoints.arm(settings.fail_at)
app = make_celery(settings, include=["worker.tasks"])
# The last resort, for a hang outside any job; far above what slow stores can make a drain last.
app.conf.task_time_limit = 2 * settings.drain_seconds + LEASES_PER_TASK * settings.lease_seconds
_processes: list["WorkerProcess"] = []  # none in the parent, one in the pool's child


def this_process() -> "WorkerProcess":
    """What the running task works with."""
    return _processes[0]


@setup_logging.connect
def _configure_logging(**_: Any) -> None:
    configure_logging(settings.log_level)


@worker_process_init.connect
def _start(**_: Any) -> None:
    # Only pool children compute: parents, beat and Flower do without what that brings, 40 MB each.
    try:
        from worker.process import WorkerProcess

        _processes.append(WorkerProcess(settings))
    except Exception as error:  # noqa: BLE001 - Celery would swallow it and go on without a working child
        stop_worker(error)


@worker_process_shutdown.connect
def _stop(**_: Any) -> None:
    for process in _processes:
        process.close()


@worker_shutting_down.connect
def _shut_down(**_: Any) -> None:
    pass_on()
