"""State dicts in PyTorch's own file format (`.pth`, `.pt`): read without running code, matched exactly."""

import pickle
import struct
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from shared.errors import ModelFileError

ADVICE = "Use the file that the replaced system wrote, or save it anew: torch.save(model.state_dict(), path)."

_WRAPPER = "model_state_dict"
# What PyTorch's reader raises for damaged files, and UnpicklingError for what holds code.
_UNREADABLE = (
    pickle.UnpicklingError,
    OSError,
    EOFError,
    RuntimeError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    AssertionError,
    struct.error,
    OverflowError,
    MemoryError,
)


def read_state_dict(path: Path) -> Mapping[Any, Any]:
    """The state dict in a file that holds one, or {"model_state_dict": one}; nothing in it is checked yet.

    Raises `ModelFileError` for anything else, and for a pickle with code in it, which is never run.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about odd archives and pickles: harmless, or refused just below
            content = torch.load(path, map_location="cpu", weights_only=True)
    except _UNREADABLE as error:
        raise ModelFileError(
            f"{path} is not a whole PyTorch file, or holds more than tensors, which is not loaded. {ADVICE}"
        ) from error
    state = content.get(_WRAPPER, content) if isinstance(content, Mapping) else content
    if not isinstance(state, Mapping):
        raise ModelFileError(f"{path} holds a {type(state).__name__} instead of a state dict. {ADVICE}")
    return state


def matching_tensors(
    state: Mapping[Any, Any], shapes: Mapping[str, torch.Size], optional: set[str], path: Path
) -> dict[str, Tensor]:
    """The tensors of `state` in single precision: exactly the keys and shapes of `shapes`.

    Entries under `optional` keys may be there and are left out. Raises `ModelFileError` for a missing or
    unknown key, another shape, and values that are no finite floating-point numbers.
    """
    if missing := sorted(shapes.keys() - state.keys()):
        raise ModelFileError(f"{path} lacks {len(missing)} tensors, first {missing[0]}. {ADVICE}")
    if unknown := sorted(repr(key) for key in state.keys() - shapes.keys() - optional):
        raise ModelFileError(
            f"{path} holds {len(unknown)} entries unknown to the network, first {unknown[0]:.80}. {ADVICE}"
        )
    return {key: _checked(state[key], shape, f"{path}: {key}") for key, shape in shapes.items()}


def _checked(value: Any, shape: torch.Size, name: str) -> Tensor:
    if not (isinstance(value, Tensor) and value.is_floating_point() and value.layout is torch.strided):
        raise ModelFileError(f"{name} is no plain tensor of floating-point numbers. {ADVICE}")
    if value.shape != shape:
        raise ModelFileError(f"{name} has the shape {tuple(value.shape)}, not {tuple(shape)}. {ADVICE}")
    single = value.detach().float()
    if single.is_meta or not torch.isfinite(single).all():
        raise ModelFileError(f"{name} holds values that are not numbers. {ADVICE}")
    return single
