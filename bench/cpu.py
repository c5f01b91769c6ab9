"""Whose the processor was while something was measured: beside others, times say little."""

import os
from collections.abc import Iterable

import psutil  # type: ignore[import-untyped]  # ships no types


class CpuShare:
    """Processor seconds since this was made: of us and `pids` with what they started, and of others."""

    def __init__(self, pids: Iterable[int]) -> None:
        self._pids = [*pids, os.getpid()]
        self._own, self._all = self._own_seconds(), _busy_seconds()

    def seconds(self) -> dict[str, float]:
        """A process that ended in between counts where its parent waited for it."""
        own, everything = self._own_seconds() - self._own, _busy_seconds() - self._all
        return {"own": round(own, 1), "others": round(max(everything - own, 0), 1)}

    def _own_seconds(self) -> float:
        used = 0.0
        for pid in self._pids:
            try:
                head = psutil.Process(pid)
                family = [head, *head.children(recursive=True)]
            except psutil.NoSuchProcess:
                continue
            for process in family:
                try:
                    used += sum(process.cpu_times()[:4])  # its own, and of children that it waited for
                except psutil.NoSuchProcess:
                    continue
        return used


def _busy_seconds() -> float:
    times = psutil.cpu_times()
    return float(sum(times[:3]) + sum(times[5:7]))  # all but idle and waiting for disks
