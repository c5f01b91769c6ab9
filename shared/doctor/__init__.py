"""Looks at everything that the system stands on, and says for each part what to do about it."""

from shared.doctor.examination import examine
from shared.doctor.finding import Finding, Level

__all__ = ["Finding", "Level", "examine"]
