"""Who is signed in where: the token in a file that only its owner can read. The password is never kept."""

from dataclasses import asdict, dataclass
from pathlib import Path

from brain_scans.api import Api
from brain_scans.errors import ApiError, NotSignedInError
from brain_scans.places import config_folder, read_json, write_private


@dataclass(frozen=True, slots=True)
class Login:
    """An open login."""

    url: str
    username: str
    token: str


def login_file() -> Path:
    return config_folder() / "login.json"


def sign_in(api: Api, username: str, password: str) -> Login:
    """Open a login and keep its token. Raises `NotSignedInError` if the server refuses."""
    # Not tried again when the connection breaks: a wrong password would count twice.
    answer = api.json("POST", "/api/admin/login", json={"username": username, "password": password})
    login = Login(api.url, username, str(answer["token"]))
    write_private(login_file(), asdict(login))
    return login


def stored_login() -> Login:
    """Raises `NotSignedInError` if there is none."""
    found = read_json(login_file())
    if found is None or not all(isinstance(found.get(name), str) for name in ("url", "username", "token")):
        raise NotSignedInError("Nobody is signed in. Start with: brain-scans login URL")
    return Login(str(found["url"]), str(found["username"]), str(found["token"]))


def sign_out() -> bool:
    """Revoke the token and forget it. False if the server no longer knew it.

    Raises `UnreachableError` if the server could not be told; the token is kept then.
    """
    login = stored_login()
    with Api(login.url, login.token) as api:
        try:
            api.json("POST", "/api/account/logout", json={})
            was_open = True
        except NotSignedInError:
            was_open = False
        except ApiError as error:
            raise ApiError(f"The server did not end the login: {error}", error.status, error.code) from error
    login_file().unlink(missing_ok=True)
    return was_open
