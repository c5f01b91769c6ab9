"""Memory of a graphics card, where there is one."""

import torch

from worker.metrics_endpoint import DeviceCollector


def test_memory_is_told_where_there_is_a_graphics_card_and_nothing_breaks_where_there_is_none() -> None:
    families = list(DeviceCollector().collect())
    states = {sample.labels["state"] for family in families for sample in family.samples}
    expected = {"allocated", "reserved", "free", "total"} if torch.cuda.is_available() else set()
    assert states == expected
