"""Memory and number of gunicorn's processes, and how often one ended."""

import os
import resource
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

_PAGE = resource.getpagesize()


class ProcessCollector(Collector):
    """Of the master that asks, and its children."""

    def __init__(self, children: Callable[[], Sequence[int]], exits: Callable[[], int]) -> None:
        """`children`: process ids."""
        self._children = children
        self._exits = exits

    def collect(self) -> Iterable[Metric]:
        children = self._children()
        resident = 0
        for pid in (os.getpid(), *children):
            with suppress(OSError):  # it has just ended
                resident += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
        yield GaugeMetricFamily(
            "brain_tumor_api_resident_memory_bytes",
            "Memory of the API's processes, pages that they share counted in each",
            resident,
        )
        yield GaugeMetricFamily("brain_tumor_api_processes", "Processes that answer requests", len(children))
        yield CounterMetricFamily(
            "brain_tumor_api_process_exits", "Times that a process that answers requests ended", self._exits()
        )
