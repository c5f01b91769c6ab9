"""What a scrape reads from the machine: free space of folders, memory of a container, the build."""

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from shared import __version__
from shared.settings import Settings

_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")
_MACHINE = Path("/proc/meminfo")


class BuildCollector(Collector):
    """Which version runs."""

    def collect(self) -> Iterable[Metric]:
        yield InfoMetricFamily("brain_tumor_build", "The version that runs", {"version": __version__})


class DiskCollector(Collector):
    """Space in the folders of stores on a local disk."""

    def __init__(self, folders: Mapping[str, Path]) -> None:
        self._folders = folders

    def collect(self) -> Iterable[Metric]:
        free = GaugeMetricFamily(
            "brain_tumor_store_disk_free_bytes", "Free space where a store keeps its files", labels=["role"]
        )
        size = GaugeMetricFamily(
            "brain_tumor_store_disk_size_bytes", "Size of the disk of a store", labels=["role"]
        )
        for role, folder in self._folders.items():
            try:
                usage = shutil.disk_usage(folder)
            except OSError:  # not made yet, or not mounted: no figure is better than a wrong one
                continue
            free.add_metric([role], usage.free)
            size.add_metric([role], usage.total)
        yield free
        yield size


class MemoryCollector(Collector):
    """What this container may use: its limit, or the machine's memory where it has none."""

    def collect(self) -> Iterable[Metric]:
        yield GaugeMetricFamily(
            "brain_tumor_memory_limit_bytes", "Memory that this container may use", memory_limit()
        )


def local_folders(settings: Settings) -> dict[str, Path]:
    """The folders of those stores that are on a local disk, by role."""
    chosen = {
        "images": (settings.chosen_image_store, settings.image_folder),
        "reports": (settings.chosen_report_store, settings.report_folder),
        "staging": (settings.staging_store, settings.staging_folder),
    }
    return {role: folder for role, (vendor, folder) in chosen.items() if vendor == "local"}


def memory_limit() -> int:
    """Bytes."""
    machine = int(_MACHINE.read_text().split("MemTotal:")[1].split()[0]) * 1024
    try:
        text = _CGROUP_LIMIT.read_text().strip()
    except OSError:
        return machine
    return min(int(text), machine) if text.isdigit() else machine
