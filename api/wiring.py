"""The services of the running application, for views that need them."""

from concurrent.futures import Executor
from dataclasses import dataclass
from threading import Semaphore

from flask import current_app

from api.pace import Pace
from api.rate_limit import RateLimit
from shared.services import Services

EXTENSION = "brain_tumor"


@dataclass(frozen=True, slots=True)
class Wiring:
    """What `create_app` built."""

    services: Services
    rate_limit: RateLimit
    upload_threads: Executor  # of bulk uploads
    bulk_checks: Semaphore  # one for each picture of theirs that may be checked at the same time
    pace: Pace
    waiting_slots: Semaphore  # one for each request that may be held at the same time


def services() -> Services:
    return wiring().services


def wiring() -> Wiring:
    built: Wiring = current_app.extensions[EXTENSION]
    return built
