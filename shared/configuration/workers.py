"""How work is done."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field


class WorkerSettings(BaseModel):
    """The model, and the life of a job."""

    worker_role: Literal["scan", "report"] = Field(
        "scan", description="scan: loads the model, needs one device; report: PDF reports and housekeeping"
    )
    model_folder: Path = Field(
        Path("model_weights"), description="folder of weights and manifest.json, or a .pth file"
    )
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="where the model runs")
    engine: Literal["auto", "torch", "openvino", "openvino-int8", "load-test"] = Field(
        "auto",
        description="what runs the model; auto: the fastest that was measured to answer the same; "
        "load-test: no model at all, every scan ends without a finding, refused in production",
    )
    batch_size: int = Field(16, ge=1, le=1024, description="most images in one forward pass")
    io_threads: int | None = Field(
        None,
        ge=1,
        le=64,
        description="threads that fetch, draw and store beside the model; empty: 2, or 32 over a network",
    )
    lease_seconds: float = Field(
        60, ge=2, description="silence after which a running job is taken from its worker"
    )
    max_attempts: int = Field(4, ge=1, le=20, description="attempts of a job before it fails for good")
    outage_attempts: int = Field(
        50,
        ge=0,
        le=1000,
        description="attempts that do not count while a store is out: about four hours with all pauses",
    )
    retry_seconds: float = Field(
        5, ge=0, description="pause before the second attempt; doubles with each further"
    )
    drain_seconds: float = Field(30, ge=1, description="how long one task drains the backlog before it ends")
    sweep_seconds: float = Field(5, gt=0, description="how often leases and forgotten rows are looked for")

    def worker_problems(self, is_production: bool) -> list[str]:
        if is_production and self.engine == "load-test":
            return ["ENGINE: load-test analyses nothing and is refused in production"]
        return []
