"""Where a model is to run."""

import ctypes
import sys

from shared.errors import ModelFileError

_DRIVER = "libcuda.so.1"


def choose_device(wanted: str) -> str:
    """ "auto" -> "cuda" where there is one, else "cpu"; anything else unchanged.

    Raises `ModelFileError` for "cuda" on a machine without it.
    """
    if wanted == "auto":
        return "cuda" if _has_cuda() else "cpu"
    if wanted not in ("cpu", "cuda"):
        raise ModelFileError(f'Unknown device "{wanted}". Use "auto", "cpu" or "cuda".')
    if wanted == "cuda" and not _has_cuda():
        raise ModelFileError('No CUDA device is usable here. Set the device to "auto" or "cpu".')
    return wanted


def _has_cuda() -> bool:
    """PyTorch is asked only where there is a driver: bringing it takes seconds."""
    if sys.platform == "linux":
        try:
            ctypes.CDLL(_DRIVER)
        except OSError:
            return False
    import torch

    return torch.cuda.is_available()
