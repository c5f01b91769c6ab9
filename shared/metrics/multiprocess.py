"""gunicorn's hooks for metrics: its children count into files, its master adds them up and serves them.

They stand here because a configuration is read before the environment that it sets: whatever imports metrics
by then, as the whole API does, would count in its own memory only. So nothing is imported early.

A master that forks while its other thread holds a lock would hand on that lock for ever: no fork happens
while metrics are being read.
"""

import os
import shutil
import struct
import sys
import tempfile
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.logs import configure_logging, get_logger
from shared.settings import Settings, SettingsError, load_settings

if TYPE_CHECKING:
    from shared.metrics.endpoint import MetricsEndpoint

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"  # the library's
PRODUCT = __name__.partition(".")[0]
ADDED_UP = ("counter", "histogram")  # of dead children too: what was counted stays counted
_DEAD = 0  # the process id under which the dead are kept
_UNREADABLE = (RuntimeError, ValueError, struct.error, OSError)

log = get_logger(__name__)
_reading = threading.Lock()
_endpoints: list["MetricsEndpoint"] = []
_exits = [0]


def environment() -> list[str]:
    """What the children's environment needs, as gunicorn's `raw_env` takes it; nothing without metrics."""
    settings = _settings()
    return [f"{VARIABLE}={_folder(settings)}"] if settings else []


def on_starting(_: Any) -> None:
    """An empty folder, before any child counts."""
    settings = _settings()
    if settings is not None:
        folder = _folder(settings)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)


def when_ready(server: Any) -> None:
    """Serve the sum of the children."""
    settings = _settings()
    if settings is None:
        return
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.multiprocess import MultiProcessCollector

    from shared.metrics.backlog import BacklogCollector
    from shared.metrics.endpoint import MetricsEndpoint
    from shared.metrics.gunicorn_processes import ProcessCollector
    from shared.metrics.machine import BuildCollector, DiskCollector, MemoryCollector, local_folders

    configure_logging(settings.log_level)
    registry = CollectorRegistry()
    MultiProcessCollector(registry, str(_folder(settings)))  # type: ignore[no-untyped-call]
    for collector in (
        BacklogCollector(settings.sqlalchemy_url.replace("+psycopg2", "")),
        BuildCollector(),
        MemoryCollector(),
        DiskCollector(local_folders(settings)),
        ProcessCollector(lambda: list(server.WORKERS), lambda: _exits[0]),
    ):
        registry.register(collector)

    def render() -> bytes:
        with _reading:
            return generate_latest(registry)

    endpoint = MetricsEndpoint(settings.metrics_host, settings.metrics_port, render)
    _endpoints.append(endpoint)
    os.register_at_fork(
        before=_reading.acquire, after_in_parent=_reading.release, after_in_child=_leave_to_parent
    )
    endpoint.start()


def post_fork(_: Any, __: Any) -> None:
    """Forget the product's modules that the master has read: after a reload children run the new code."""
    for name in [name for name in sys.modules if name.partition(".")[0] == PRODUCT]:
        del sys.modules[name]


def child_exit(_: Any, worker: Any) -> None:
    """Forget what a dead child did at the moment, and keep what it had counted."""
    settings = _settings()
    if settings is None:
        return
    from prometheus_client.multiprocess import mark_process_dead

    _exits[0] += 1
    with _reading:
        folder = _folder(settings)
        mark_process_dead(worker.pid, str(folder))  # type: ignore[no-untyped-call]
        for kind in ADDED_UP:
            _keep(folder / f"{kind}_{worker.pid}.db", folder / f"{kind}_{_DEAD}.db")


def on_exit(_: Any) -> None:
    """Give the port back and leave no files."""
    for endpoint in _endpoints:
        endpoint.stop()
    settings = _settings()
    if settings is not None:
        shutil.rmtree(_folder(settings), ignore_errors=True)


def _keep(file: Path, kept: Path) -> None:
    from prometheus_client.mmap_dict import MmapedDict

    if not file.exists():
        return
    sums = MmapedDict(str(kept))  # type: ignore[no-untyped-call]
    try:
        values: Iterable[Any] = MmapedDict.read_all_values_from_file(str(file))  # type: ignore[no-untyped-call]
        for key, value, _, _ in values:
            sums.write_value(key, sums.read_value(key)[0] + value, 0.0)  # type: ignore[no-untyped-call]
    except _UNREADABLE as error:  # killed while it wrote
        log.warning("counts of a dead process are lost", cause=type(error).__name__)
    finally:
        sums.close()  # type: ignore[no-untyped-call]
        file.unlink()


def _leave_to_parent() -> None:
    for endpoint in _endpoints:
        endpoint.leave_to_parent()
    _reading.release()


def _folder(settings: Settings) -> Path:
    """In memory where /tmp is. The port and the user tell it from those of others on this machine."""
    return Path(tempfile.gettempdir()) / f"brain-tumor-metrics-{os.getuid()}-{settings.metrics_port}"


def _settings() -> Settings | None:
    """None where no metrics are wanted, or the settings are wrong: the application says so."""
    try:
        settings = load_settings()
    except SettingsError:
        return None
    return settings if settings.metrics_port else None
