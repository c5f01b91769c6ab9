"""Which workers are alive: they say so themselves. Functions take a session and never commit."""

from datetime import timedelta

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from shared.models import Worker

BEAT_SECONDS = 5.0
SILENT_AFTER_S = 30.0
FORGET_AFTER_H = 24.0


def computing(device: str, engine: str) -> str:
    """What a scan worker's row says of its device: the engine is named behind it, for `engines_alive`."""
    return f"{device}/{engine}"


def beat(session: Session, name: str, role: str, device: str, model: str | None) -> None:
    """Write or refresh a worker's row."""
    values = {"role": role, "device": device, "model": model, "last_seen_at": func.now()}
    session.execute(
        insert(Worker)
        .values(name=name, **values)
        .on_conflict_do_update(index_elements=[Worker.name], set_=values)
    )


def is_alive(session: Session, host: str) -> bool:
    """Whether a worker process of this host was seen lately."""
    cutoff = func.now() - timedelta(seconds=SILENT_AFTER_S)
    query = select(Worker.name).where(
        Worker.name.contains(f"@{host}:", autoescape=True), Worker.last_seen_at > cutoff
    )
    return session.scalars(query.limit(1)).first() is not None


def workers(session: Session) -> list[tuple[Worker, bool]]:
    """All that are not forgotten yet, each with whether it was seen lately; by role, then by name."""
    is_seen = Worker.last_seen_at > func.now() - timedelta(seconds=SILENT_AFTER_S)
    rows = session.execute(select(Worker, is_seen).order_by(Worker.role, is_seen.desc(), Worker.name))
    return [(worker, is_alive) for worker, is_alive in rows]


def count_alive(session: Session) -> int:
    """Worker processes that were seen lately."""
    cutoff = func.now() - timedelta(seconds=SILENT_AFTER_S)
    return session.execute(select(func.count()).where(Worker.last_seen_at > cutoff)).scalar_one()


def forget_silent(session: Session) -> None:
    """Remove rows of processes that ended long ago."""
    session.execute(delete(Worker).where(Worker.last_seen_at < func.now() - timedelta(hours=FORGET_AFTER_H)))


def roles_alive(session: Session) -> set[str]:
    """Roles of which at least one worker was seen lately."""
    cutoff = func.now() - timedelta(seconds=SILENT_AFTER_S)
    return set(session.scalars(select(Worker.role).where(Worker.last_seen_at > cutoff).distinct()))


def engines_alive(session: Session) -> list[str]:
    """What runs the model in the scan workers that were seen lately, each engine once.

    Workers of the version before this named none.
    """
    cutoff = func.now() - timedelta(seconds=SILENT_AFTER_S)
    devices = select(Worker.device).where(Worker.role == "scan", Worker.last_seen_at > cutoff)
    engines = {device.partition("/")[2] for device in session.scalars(devices)}
    return sorted(engines - {""})
