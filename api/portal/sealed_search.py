"""What the staff looks for is patient data, and addresses are kept: by the browser's history, by proxies.

So a search is sent by POST and then stands in the address of its results encrypted: reload, "back" and the
links to further pages work, and only this server can read it.
"""

from flask import request

from api.wiring import services
from shared.errors import SecretError
from shared.secrets_at_rest import decrypt, encrypt

ARGUMENT = "found"
_PURPOSE = "patient search"


def seal(search: str) -> str:
    """For the address of the results."""
    return encrypt(search, services().settings.secret_key.get_secret_value(), _PURPOSE)


def asked() -> str | None:
    """The search that this request's address names; None for none, and for one that cannot be read."""
    sealed = request.args.get(ARGUMENT)
    if not sealed:
        return None
    try:
        return decrypt(sealed, services().settings.secret_key.get_secret_value(), _PURPOSE)
    except SecretError:
        return None
