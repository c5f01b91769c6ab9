"""Reviews of scans by readers of images."""

from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BeforeValidator, Field

from api.schemas.fields import MAX_PAGE, Answer, Empty, Ok, PageQuery, Request, Share, Text, Time
from api.schemas.scans import Prediction, Verdict
from shared.reviews import MAX_COMMENT


def _plain_lines(value: Any) -> Any:
    """Browsers end the lines of a text with two characters."""
    return value.replace("\r\n", "\n") if isinstance(value, str) else value


class ReviewBody(Request):
    verdict: Verdict = Field(description="Unusable: the picture cannot be judged")
    comment: Annotated[Text | None, Empty, BeforeValidator(_plain_lines)] = Field(
        None,
        description=f"at most {MAX_COMMENT} characters; needed where the verdict is not the prediction",
    )
    analysed_at: AwareDatetime = Field(description="of the scan object that was looked at")


class WorklistQuery(PageQuery):
    limit: Annotated[int, Field(ge=1, le=MAX_PAGE)] | None = Field(
        None, description="most rows; left out: 100"
    )


class Review(Answer):
    """One reader's verdict, and what the model had said at that moment."""

    id: int
    verdict: Verdict
    comment: str | None
    reader: str = Field(description="user name")
    at: Time
    agrees: bool | None = Field(description="with the prediction; null where there was none")
    prediction: Prediction | None
    probability: Share | None
    review: Literal["needs_review", "rejected"] | None
    model_version: str | None


class ReviewAnswer(Ok):
    data: Review


class ReviewsAnswer(Ok):
    data: list[Review]
