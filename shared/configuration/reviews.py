"""What readers of images decide."""

from pydantic import BaseModel, Field


class ReviewSettings(BaseModel):
    """Whether patients wait for a reader's verdict."""

    release_gate: bool = Field(
        default=False, description="on: patients see a scan only once a reader has given a verdict about it"
    )
