"""Wrong passwords are counted per account and per address. Functions take a session and never commit.

An attempt counts as a failure from its beginning, so that many at the same moment cannot all slip through;
a success takes it back.
"""

import hashlib
import math
from datetime import timedelta

from sqlalchemy import delete, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from shared.errors import TooManyRequestsError
from shared.models import LoginFailure
from shared.settings import Settings

MAX_ADDRESS_LENGTH = 64


def begin_attempt(session: Session, account: str, address: str, settings: Settings) -> None:
    """Count an attempt. Raises `TooManyRequestsError`, and then counts nothing, after too many failures."""
    digest, place = _digest(account), address[:MAX_ADDRESS_LENGTH]
    # One attempt on an account at a time, so that each sees those before it.
    session.execute(select(func.pg_advisory_xact_lock(int(digest[:8], 16))))
    for column, value, most in (
        (LoginFailure.account_sha256, digest, settings.login_failures_per_account),
        (LoginFailure.address, place, settings.login_failures_per_address),
    ):
        wait = _seconds_to_wait(session, column, value, most, settings.login_window_seconds)
        if wait is not None:
            raise TooManyRequestsError(
                "Too many failed logins. Wait before you try again, or ask an admin for a new password.", wait
            )
    session.add(LoginFailure(account_sha256=digest, address=place))


def succeed(session: Session, account: str) -> None:
    """The password was right: the account starts anew, this attempt included."""
    session.execute(delete(LoginFailure).where(LoginFailure.account_sha256 == _digest(account)))


def forget_old(session: Session, window_seconds: int) -> None:
    """Remove failures that no longer count."""
    session.execute(delete(LoginFailure).where(LoginFailure.at < _begin_of_window(window_seconds)))


def _seconds_to_wait(
    session: Session, column: InstrumentedAttribute[str], value: str, most: int, window_seconds: int
) -> int | None:
    """None, or the time until the oldest of the last `most` failures no longer counts."""
    begin = _begin_of_window(window_seconds)
    recent = (
        select(LoginFailure.at)
        .where(column == value, LoginFailure.at > begin)
        .order_by(LoginFailure.at.desc())
        .offset(most - 1)
        .limit(1)
    ).scalar_subquery()
    left = session.execute(select(func.extract("epoch", recent - begin))).scalar_one()
    return None if left is None else max(math.ceil(left), 1)


def _begin_of_window(window_seconds: int) -> object:
    return func.now() - timedelta(seconds=window_seconds)


def _digest(account: str) -> str:
    return hashlib.sha256(account.casefold().encode()).hexdigest()
