"""All checks, one after the other. None needs what another one found to be there."""

from collections.abc import Iterator

from shared.database import make_engine, make_sessions
from shared.doctor import broker, choices, database, mail, model, stores, work
from shared.doctor.finding import Finding
from shared.settings import Settings


def examine(settings: Settings) -> Iterator[Finding]:
    """What each check finds, as it finds it. Raises nothing because a part is down."""
    engine = make_engine(settings, "doctor")
    sessions = make_sessions(engine)
    try:
        yield from choices.check(settings)
        yield from database.check(engine)
        yield from broker.check(settings)
        yield from stores.check(settings)
        yield from mail.check(settings, sessions)
        yield from model.check(settings.model_folder)
        yield from work.check(sessions)
    finally:
        engine.dispose()
