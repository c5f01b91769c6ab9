"""`python -m bench.peer_server PORT FOLDER`: a model server as one would make it today, with LitServe.

A picture in, the probability out; heatmap and overlay are drawn and stored as the product does. The map is
pytorch-grad-cam's. Requests are batched as they come. There is no database, and nothing is flushed to the
disk: what a restart would lose is lost here.
"""

import sys
import uuid
from pathlib import Path
from typing import Any

import numpy as np

from bench.bare import add_peers, load_network, make_grad_cam
from shared.images import read_grey
from worker.heatmap import draw
from worker.inference.manifest import read_manifest
from worker.preprocessing import prepare

add_peers()
import litserve  # noqa: E402 - these are importable from here on
from fastapi import Request  # type: ignore[import-not-found] # noqa: E402

BATCH_SIZE = 16
BATCH_WAIT_S = 0.05


class PeerApi(litserve.LitAPI):  # type: ignore[misc]  # not installed where types are checked
    """The steps by LitServe's names."""

    def __init__(self, folder: Path) -> None:
        super().__init__(max_batch_size=BATCH_SIZE, batch_timeout=BATCH_WAIT_S)
        self.folder = folder

    def setup(self, device: str) -> None:  # noqa: ARG002 - the CPU
        from bench.bare import MODEL_FOLDER

        self.size = read_manifest(MODEL_FOLDER).input_size
        self.explain = make_grad_cam(load_network())

    def decode_request(self, request: Request) -> Any:
        """LitServe reads the annotation; what comes are the form's fields."""
        picture = read_grey(request["picture"].file.read())
        return picture, prepare(picture, self.size)

    def batch(self, inputs: list[Any]) -> list[Any]:
        return inputs

    def predict(self, inputs: list[Any]) -> list[Any]:
        logits, maps = self.explain(np.stack([prepared.pixels for _, prepared in inputs]))
        return [
            (picture, prepared.crop, logit, evidence)
            for (picture, prepared), logit, evidence in zip(inputs, logits, maps, strict=True)
        ]

    def unbatch(self, output: list[Any]) -> list[Any]:
        return output

    def encode_response(self, output: Any) -> dict[str, Any]:
        picture, crop, logit, evidence = output
        drawing = draw(picture, evidence.astype(np.float32), crop)
        name = uuid.uuid4().hex
        (self.folder / f"{name}.heatmap.png").write_bytes(drawing.heatmap)
        (self.folder / f"{name}.overlay.png").write_bytes(drawing.overlay)
        return {"id": name, "probability": float(1 / (1 + np.exp(-logit)))}


def main() -> None:
    """Serve until the process is ended."""
    port, folder = int(sys.argv[1]), Path(sys.argv[2])
    server = litserve.LitServer(PeerApi(folder), accelerator="cpu", workers_per_device=1, timeout=120)
    server.run(
        host="127.0.0.1", port=port, generate_client_file=False, num_api_servers=1, log_level="warning"
    )


if __name__ == "__main__":
    main()
