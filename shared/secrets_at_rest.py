"""Short secrets, encrypted while they wait in the database. The key is made from SECRET_KEY."""

import base64

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from shared.errors import SecretError


def encrypt(text: str, secret_key: str, purpose: str) -> str:
    """The text as a token that only the same key and purpose can read (Fernet: AES and HMAC)."""
    return _cipher(secret_key, purpose).encrypt(text.encode()).decode("ascii")


def decrypt(token: str, secret_key: str, purpose: str) -> str:
    """The text of a token. Raises `SecretError` for another key, another purpose or a changed token."""
    try:
        return _cipher(secret_key, purpose).decrypt(token).decode()
    except (InvalidToken, ValueError):  # the latter for what was never a token
        raise SecretError(
            "A stored secret cannot be read: SECRET_KEY is not the one it was kept with."
        ) from None


def _cipher(secret_key: str, purpose: str) -> Fernet:
    # One key for each purpose: what leaks or is misused in one place opens nothing in another.
    derive = HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose.encode())
    return Fernet(base64.urlsafe_b64encode(derive.derive(secret_key.encode())))
