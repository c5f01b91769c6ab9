"""Sweeps, and the hints that wake workers."""

from prometheus_client import Counter

SWEEPS = Counter("brain_tumor_sweeps_total", "Looks for what got stuck", ("outcome",))
RAN, OTHERS_TURN = "ran", "others_turn"
EXPIRED = Counter("brain_tumor_sweep_expired_leases_total", "Jobs taken from silent workers")
FORGOTTEN = Counter(
    "brain_tumor_sweep_forgotten_jobs_total",
    "Due jobs found waiting, for which workers were woken again",
    ("kind", "lane"),
)
WAKE_UPS = Counter(
    "brain_tumor_wake_ups_total", "Hints to workers, by whether the broker took them", ("outcome",)
)
SENT, NOT_SENT = "sent", "not_sent"

for _outcome in (RAN, OTHERS_TURN):
    SWEEPS.labels(_outcome)
for _outcome in (SENT, NOT_SENT):
    WAKE_UPS.labels(_outcome)
