"""What reconciliation finds, kind by kind, in words for the operator."""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What is wrong. The first five are removed by a repair, the others are work that is queued again."""

    LOST_PICTURE = "pictures that no result names"
    LOST_ORIGINAL = "originals without a scan"
    LOST_REPORT = "PDFs that no report names"
    LOST_COPY = "staged copies that no scan waits for"
    LOST_PART = "temporary files of killed processes"
    MISSING_ORIGINAL = "originals that are missing"
    MISSING_PICTURE = "heatmaps and overlays that are missing"
    MISSING_REPORT = "PDFs that are missing"
    NO_JOB = "scans without a job"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong. `name` is an object's key or a scan's display id: never a patient's."""

    kind: Kind
    name: str
    is_repaired: bool = False
