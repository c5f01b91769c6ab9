"""One attempt at a job: the right to work on it, and why it ended without a result."""

import uuid
from dataclasses import dataclass, field
from typing import Self

from shared.errors import BrainScanError
from shared.models import Stage


@dataclass(frozen=True, slots=True)
class Claim:
    """A worker's right to work on a job: valid while the row is running under this attempt."""

    job_id: uuid.UUID
    subject_id: int  # scans.id, reports.id or mails.id
    attempt: int
    tries: int  # the same, counted from when a person last asked for a retry: this is what is bounded
    batch_id: uuid.UUID | None = field(default=None, compare=False)  # for log lines
    waited_seconds: float = field(default=0.0, compare=False)  # since it was due


@dataclass(frozen=True, slots=True)
class Failure:
    """Why, and in which stage, an attempt ended without a result. `retry`: the cause may pass.

    `is_outage`: other jobs meet it too, so the attempt is not counted against this one.
    """

    claim: Claim
    code: str
    message: str
    retry: bool = False
    stage: Stage = Stage.CLAIMED
    is_outage: bool = False

    @classmethod
    def of(cls, claim: Claim, error: BrainScanError, stage: Stage) -> Self:
        """What the job's row will say."""
        return cls(claim, error.code, str(error), error.retryable, stage, error.is_outage)

    def is_counted(self, outage_attempts: int) -> bool:
        """Whether the attempt uses up one of the job's: not in an outage, up to so many attempts in all."""
        return not (self.retry and self.is_outage and self.claim.attempt <= outage_attempts)
