"""What the API accepts, and how much of it."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import BaseModel, Field
from pydantic_settings import NoDecode

from shared.configuration.addresses import is_base_address
from shared.images import ImageLimits


class RequestSettings(BaseModel):
    """Addresses and limits of requests."""

    public_url: str = Field(
        "", description="base URL of the API in links, https:// in production; empty: taken from the request"
    )
    trusted_proxies: int = Field(
        0, ge=0, le=5, description="proxies in front that set X-Forwarded-For and X-Forwarded-Proto"
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        ("http://localhost:3000", "http://127.0.0.1:3000"),
        description="allowed browser origins, comma separated",
    )
    max_content_length: int = Field(16 * 1024 * 1024, ge=1024, description="largest request in bytes")
    max_files_per_upload: int = Field(200, ge=1, description="most files in one upload request or ZIP")
    upload_threads: int | None = Field(
        None,
        ge=1,
        le=64,
        description="threads of each API process for bulk uploads; empty: 2, or 32 to a store over a network",
    )
    max_image_pixels: int = Field(40_000_000, ge=1, description="most pixels of one image")
    max_image_side: int = Field(16_384, ge=1, description="most pixels on one side of an image")
    max_wait_seconds: float = Field(25, ge=0, description="cap of `Prefer: wait=N` and `?wait=N`")
    max_waiting_requests: int = Field(
        12, ge=0, description="requests that each API process holds at once; further ones are not held"
    )
    upload_wait_seconds: float = Field(0, ge=0, description="wait for clients that send no `Prefer`")
    max_queued_jobs: int = Field(
        100_000, ge=1, description="unfinished jobs above which new work is refused with 503"
    )
    requests_per_minute: int = Field(
        30_000, ge=1, description="requests of one caller that each API process takes, then 429"
    )
    anonymous_requests_per_minute: int = Field(
        600, ge=1, description="the same for callers without a login, by address"
    )
    idempotency_days: float = Field(7, gt=0, description="how long an Idempotency-Key is remembered")
    allow_public_uploads: bool = Field(
        default=False, description="anonymous uploads; the reply's job id alone can be polled"
    )

    @property
    def image_limits(self) -> ImageLimits:
        return ImageLimits(max_pixels=self.max_image_pixels, max_side=self.max_image_side)

    def request_problems(self, is_production: bool) -> list[str]:
        problems = []
        if self.public_url and not is_base_address(self.public_url):
            problems.append("PUBLIC_URL: must be an http:// or https:// address, without login and query")
        elif is_production and urlsplit(self.public_url).scheme != "https":
            problems.append(
                "PUBLIC_URL: production needs the https:// address at which clients reach the API "
                "(a proxy in front ends TLS; see TRUSTED_PROXIES)"
            )
        if any(origin == "*" for origin in self.cors_origins):
            problems.append("CORS_ORIGINS: name each origin; * would let every page act for its visitor")
        return problems
