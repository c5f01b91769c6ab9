"""How full the graphics card is."""

import torch


def device_memory() -> dict[str, int]:
    """Bytes of the current CUDA device: what tensors use, what PyTorch keeps, what is free, and all."""
    free, total = torch.cuda.mem_get_info()
    return {
        "allocated": torch.cuda.memory_allocated(),
        "reserved": torch.cuda.memory_reserved(),
        "free": free,
        "total": total,
    }
