"""What people do with their own login, for the JSON routes and the pages alike."""

from flask import g

from api.acts import note
from api.auth import caller, client_address, current_token
from api.schemas.accounts import LoginBody
from api.wiring import services
from shared import logins
from shared.logins import AccountTable, SignedIn
from shared.passwords import hash_password


def sign_in(table: AccountTable, body: LoginBody) -> SignedIn:
    """Open a login. Raises like `logins.sign_in`. Sending the token is the caller's."""
    built = services()
    return logins.sign_in(
        built.sessions,
        built.settings,
        table,
        body.username,
        body.password,
        client_address(),
        g.request_id,
    )


def change_password(current: str, new: str) -> int:
    """Change one's own password; all other logins of the account end. Returns how many did.

    Raises `ValidationError` naming the field that is not acceptable.
    """
    sessions = services().sessions
    with sessions() as session:
        account = logins.account_of(session, caller())
    logins.check_new_password(account, current, new)
    hashed = hash_password(new)
    with sessions.begin() as session:
        logins.set_password(session, caller(), hashed, is_generated=False)
        ended = logins.sign_out_everywhere(session, caller(), but_token=current_token())
        note(session, "password.changed", str(caller()), ended_logins=ended)
    return ended


def sign_out(everywhere: bool) -> int:
    """End this login, or all of the account. Returns how many ended. The cookie is the caller's."""
    with services().sessions.begin() as session:
        if everywhere:
            ended = logins.sign_out_everywhere(session, caller())
        else:
            logins.sign_out(session, current_token() or "")
            ended = 1
        note(session, "login.ended", str(caller()), ended_logins=ended)
    return ended
