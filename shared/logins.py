"""Signing in and out, and who a token belongs to.

Functions take a session and never commit, but for `sign_in`, which opens its own: between its steps lies
the slow check of the password, and no transaction may wait for that.
"""

import hashlib
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import ARRAY, ColumnElement, String, any_, bindparam, delete, func, select, update
from sqlalchemy.orm import Session, sessionmaker

from shared import audit, login_throttle
from shared.errors import AuthenticationError, TooManyRequestsError, ValidationError
from shared.logs import get_logger
from shared.models import Admin, AdminRole, Login, Patient
from shared.passwords import hash_password, needs_rehash, verify_password
from shared.settings import Settings

TOKEN_BYTES = 32
DEFAULT_PASSWORD = "admin"  # noqa: S105 - refused but in development, see `_is_refused_default`
MIN_PASSWORD_LENGTH = 10

_HOLDER = (  # built once: every request asks it
    select(Login.admin_id, Login.patient_id, Admin.role)
    .outerjoin(Admin, Admin.id == Login.admin_id)
    .where(Login.token_sha256 == bindparam("digest"), Login.expires_at > func.now())
)
_HOLDERS = (
    select(Login.admin_id, Login.patient_id, Admin.role, Login.token_sha256)
    .outerjoin(Admin, Admin.id == Login.admin_id)
    .where(
        Login.token_sha256 == any_(bindparam("digests", type_=ARRAY(String))), Login.expires_at > func.now()
    )
)

Account = Admin | Patient
AccountTable = type[Admin] | type[Patient]

log = get_logger(__name__)


class Role(StrEnum):
    ADMIN = "admin"
    READER = "reader"  # staff that sees everything and changes nothing but adds reviews
    PATIENT = "patient"


STAFF = frozenset({Role.ADMIN, Role.READER})


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is signed in: `id` is admins.id for the staff, patients.id for patients."""

    role: Role
    id: int

    @property
    def is_staff(self) -> bool:
        return self.role in STAFF

    def __str__(self) -> str:
        """As the audit trail names them."""
        return f"{self.role}:{self.id}"


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A login that was just opened. The token is stored only hashed: this is the one time it is seen."""

    caller: Caller
    account: Account
    token: str


def sign_in(
    sessions: sessionmaker[Session],
    settings: Settings,
    table: AccountTable,
    username: str,
    password: str,
    address: str,
    request_id: str | None = None,
) -> SignedIn:
    """Check a password and open a login.

    Raises `AuthenticationError`, after the same time whether the user exists or not, and
    `TooManyRequestsError` after too many failures of this account or from this address.
    """
    account_name = f"{table.__tablename__}:{username}"
    try:
        with sessions.begin() as session:
            login_throttle.begin_attempt(session, account_name, address, settings)
    except TooManyRequestsError:
        with sessions.begin() as session:
            audit.record(session, audit.ANONYMOUS, "login.throttled", table.__tablename__, request_id)
        raise
    with sessions() as session:
        account: Account | None = _first(session, table, table.username == username)
    is_right = verify_password(account.password_hash if account else None, password)
    if account is None or not is_right or _is_refused_default(account, password, settings):
        with sessions.begin() as session:
            subject = f"{table.__tablename__}:{account.id}" if account else table.__tablename__
            audit.record(session, audit.ANONYMOUS, "login.failed", subject, request_id)
        raise AuthenticationError("Invalid credentials")
    renewed = hash_password(password) if needs_rehash(account.password_hash) else None
    token = secrets.token_urlsafe(TOKEN_BYTES)
    caller = _caller(account)
    with sessions.begin() as session:
        login_throttle.succeed(session, account_name)
        if renewed:
            session.execute(update(table).where(table.id == account.id).values(password_hash=renewed))
        _open(session, caller, token, settings.session_hours)
        audit.record(session, str(caller), "login.succeeded", str(caller), request_id)
    return SignedIn(caller, account, token)


def caller_of(session: Session, token: str) -> Caller | None:
    """Who holds this token, or None if it is unknown, expired or revoked."""
    row = session.execute(_HOLDER, {"digest": digest(token)}).one_or_none()
    return None if row is None else _holder(row)


def callers_of(session: Session, digests: Collection[str]) -> dict[str, Caller]:
    """Who holds the tokens of these digests; those that are unknown, expired or revoked are left out."""
    rows = session.execute(_HOLDERS, {"digests": list(digests)})
    return {row.token_sha256: _holder(row) for row in rows}


def sign_out(session: Session, token: str) -> None:
    """End this login; no error if it has ended."""
    session.execute(delete(Login).where(Login.token_sha256 == digest(token)))


def sign_out_everywhere(session: Session, caller: Caller, but_token: str | None = None) -> int:
    """End all logins of the account, but for one. Returns how many ended."""
    query = delete(Login).where(_logins_of(caller))
    if but_token is not None:
        query = query.where(Login.token_sha256 != digest(but_token))
    return len(session.scalars(query.returning(Login.id)).all())


def account_of(session: Session, caller: Caller) -> Account:
    """The caller's own row."""
    table = _table(caller)
    account = _first(session, table, table.id == caller.id)
    if account is None:
        raise AuthenticationError("This account no longer exists.")
    return account


def check_new_password(account: Account, current: str, new: str) -> None:
    """Raises `ValidationError` naming the field that is not acceptable. Takes an argon2 verification."""
    if not verify_password(account.password_hash, current):
        raise ValidationError("The current password is not right.", "current_password")
    if len(new) < MIN_PASSWORD_LENGTH:
        raise ValidationError(
            f"The new password needs at least {MIN_PASSWORD_LENGTH} characters.", "new_password"
        )
    if new == current or new.casefold() == account.username.casefold():
        raise ValidationError(
            "The new password must differ from the current one and from the user name.", "new_password"
        )


def set_password(session: Session, caller: Caller, password_hash: str, is_generated: bool) -> None:
    """Store another password's hash. End the account's logins yourself."""
    table = _table(caller)
    session.execute(
        update(table)
        .where(table.id == caller.id)
        .values(password_hash=password_hash, has_generated_password=is_generated)
        .execution_options(synchronize_session=False)
    )


def _table(caller: Caller) -> AccountTable:
    return Admin if caller.is_staff else Patient


def _first(session: Session, table: AccountTable, condition: ColumnElement[bool]) -> Account | None:
    account: Account | None = session.scalars(select(table).where(condition)).first()  # type: ignore[assignment]
    return account


def _caller(account: Account) -> Caller:
    if isinstance(account, Patient):
        return Caller(Role.PATIENT, account.id)
    return Caller(Role(AdminRole(account.role)), account.id)


def _open(session: Session, caller: Caller, token: str, hours: float) -> None:
    session.execute(delete(Login).where(Login.expires_at < func.now()))
    session.add(
        Login(
            token_sha256=digest(token),
            admin_id=caller.id if caller.is_staff else None,
            patient_id=None if caller.is_staff else caller.id,
            expires_at=func.now() + timedelta(hours=hours),
        )
    )


def _logins_of(caller: Caller) -> ColumnElement[bool]:
    return (Login.admin_id if caller.is_staff else Login.patient_id) == caller.id


def _is_refused_default(account: Account, password: str, settings: Settings) -> bool:
    """The replaced system shipped with admin/admin. Its row may be here: it opens nothing."""
    if password != DEFAULT_PASSWORD or settings.development_admin:
        return False
    log.warning("login with the default password refused", account=account.id, remedy="api.cli set-password")
    return True


def _holder(login: Any) -> Caller:
    if login.admin_id is not None:
        return Caller(Role(login.role), login.admin_id)
    return Caller(Role.PATIENT, login.patient_id)


def digest(token: str) -> str:
    """What is kept of a token."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
