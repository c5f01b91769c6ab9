"""Removing what is kept no longer: by age, or everything of one patient.

Rows go first, in small transactions that note their objects as doomed; then the doomed objects are deleted.
So no row ever names what was removed, and a run that is cut short is finished by the next one. The audit
trail is never shortened, and tells who removed how much. Rows taken over from the replaced system are left
to `forget`: what they name lies at places that this system does not keep.
"""

from shared.retention.ageing import Limits, apply, count_due
from shared.retention.doomed import delete_doomed
from shared.retention.forgetting import Forgotten, find_patient, forget, hold

__all__ = [
    "Forgotten",
    "Limits",
    "apply",
    "count_due",
    "delete_doomed",
    "find_patient",
    "forget",
    "hold",
]
