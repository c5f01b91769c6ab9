"""Serves the metrics of the process that computes: the pool's child, not its parent."""

from collections.abc import Iterable

from prometheus_client import REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from shared.metrics.endpoint import MetricsEndpoint
from shared.metrics.machine import BuildCollector, DiskCollector, MemoryCollector, local_folders
from shared.settings import Settings

CUDA = "cuda"
_NO_ANSWER = (RuntimeError, AssertionError)  # of PyTorch with and without CUDA in its build


class DeviceCollector(Collector):
    """Memory of the graphics card that the model runs on; without one the process' own says it."""

    def collect(self) -> Iterable[Metric]:
        from worker.inference.device_memory import device_memory  # brings PyTorch, which is here already

        memory = GaugeMetricFamily(
            "brain_tumor_device_memory_bytes", "Memory of the model's device", labels=["state"]
        )
        try:
            sizes = device_memory()
        except _NO_ANSWER:  # the driver is gone: the other figures are the more wanted
            return
        for state, size in sizes.items():
            memory.add_metric([state], size)
        yield memory

    def describe(self) -> Iterable[Metric]:
        """Nothing: a registry would ask the device to find out."""
        return []


def serve_metrics(settings: Settings) -> MetricsEndpoint | None:
    """Serve what this process counts; None where the settings want none. Waits for a port that is taken."""
    if not settings.metrics_port:
        return None
    machine = CollectorRegistry()
    for collector in (BuildCollector(), MemoryCollector(), DiskCollector(local_folders(settings))):
        machine.register(collector)
    endpoint = MetricsEndpoint(
        settings.metrics_host,
        settings.metrics_port,
        lambda: generate_latest(REGISTRY) + generate_latest(machine),
    )
    endpoint.start()
    return endpoint


def watch_device(device: str) -> None:
    """Tell the memory of the model's device too, once the model is there."""
    if device.startswith(CUDA):
        REGISTRY.register(DeviceCollector())
