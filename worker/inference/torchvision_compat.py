"""Make `import torchvision` work beside a torch of another build (CPU torch, CUDA torchvision).

The compiled operators of such a torchvision do not load, and its Python code then fails at import with
"operator torchvision::nms does not exist", because it registers shape functions for operators that nobody
declared. Declaring their schemas is enough: this product uses torchvision's networks, none of its operators.
Call `import_torchvision` before importing from torchvision. It does nothing where torchvision is whole.
"""

from importlib import import_module

import torch

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_library: torch.library.Library | None = None  # must outlive the process: dropping it drops the schemas


def import_torchvision() -> None:
    """Import torchvision, declaring the missing operators when the first try fails."""
    global _library  # noqa: PLW0603 - operator schemas are per process, as this is
    if _library is not None:
        return
    try:
        import_module("torchvision")
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
        _library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
        for schema in _SCHEMAS:
            _library.define(schema)  # type: ignore[no-untyped-call]
        import_module("torchvision")
