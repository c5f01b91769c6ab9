"""Where each process tells Prometheus how it does."""

from pydantic import BaseModel, Field


class MonitoringSettings(BaseModel):
    """The address of a process' own metrics; never the port that clients reach."""

    metrics_port: int = Field(
        0, ge=0, le=65_535, description="port of Prometheus' metrics, at /metrics; 0: none are served"
    )
    metrics_host: str = Field(
        "127.0.0.1", description="address that the metrics are served on; 0.0.0.0 in a container"
    )
