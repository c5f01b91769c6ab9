"""Where each process tells Prometheus how it does, and where Flower is."""

from pydantic import BaseModel, Field


class MonitoringSettings(BaseModel):
    """The address of a process' own metrics, never the port that clients reach; and the way to Flower."""

    metrics_port: int = Field(
        0, ge=0, le=65_535, description="port of Prometheus' metrics, at /metrics; 0: none are served"
    )
    metrics_host: str = Field(
        "127.0.0.1", description="address that the metrics are served on; 0.0.0.0 in a container"
    )
    flower_url: str = Field(
        "",
        pattern=r"^(/[^/].*|https?://[^/].*)?$",
        description="where the staff reach Flower: http(s):// or a path on the same host; empty: no link",
    )
