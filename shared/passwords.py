"""Password hashing (argon2id), the replaced system's hashes, and generated credentials."""

import hashlib
import hmac
import re
import secrets
from threading import BoundedSemaphore

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

_HASHER = PasswordHasher()
_ALPHABET = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"  # no look-alikes
_PASSWORD_LENGTH = 14
# The replaced system stored the SHA-256 of the password, without a salt, in hexadecimal digits.
_OLD_HASH = re.compile(r"[0-9a-fA-F]{64}")

HASHES_AT_ONCE = 4  # each takes 64 MiB: a crowd of logins must wait, not eat the machine's memory
_SLOTS = BoundedSemaphore(HASHES_AT_ONCE)


def hash_password(password: str) -> str:
    with _SLOTS:
        return _HASHER.hash(_encoded(password))


def verify_password(stored_hash: str | None, password: str) -> bool:
    """True if the password is right.

    Takes the time of one argon2 verification, also when there is no such user (`stored_hash` None), when
    the hash is one of the replaced system's and when it is damaged.
    """
    if stored_hash is None:
        hash_password(password)
        return False
    if _OLD_HASH.fullmatch(stored_hash):
        hash_password(password)
        digest = hashlib.sha256(_encoded(password)).hexdigest()
        return hmac.compare_digest(digest, stored_hash.lower())
    return _verify_argon2(stored_hash, password)


def needs_rehash(stored_hash: str) -> bool:
    """True if a password just verified should be hashed anew: an old hash, or outdated parameters."""
    if _OLD_HASH.fullmatch(stored_hash):
        return True
    try:
        return _HASHER.check_needs_rehash(stored_hash)
    except InvalidHashError:
        return True


def generate_password() -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(_PASSWORD_LENGTH))


def _verify_argon2(stored_hash: str, password: str) -> bool:
    with _SLOTS:
        try:
            return _HASHER.verify(stored_hash, _encoded(password))
        except InvalidHashError:  # found out without hashing anything
            _HASHER.hash(_encoded(password))
            return False
        except VerificationError:
            return False


def _encoded(password: str) -> bytes:
    """The bytes to hash; JSON can carry half a surrogate pair, which plain UTF-8 refuses."""
    return password.encode("utf-8", "surrogatepass")
