"""Make what must be there before anything starts and is not: secrets, and a certificate for a first try.

Runs once at each `up`, in the API's image. What is there stays as it is, whoever made it; only a certificate
of its own is made anew before it runs out.
"""

import ipaddress
import os
import secrets
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

SECRETS = Path("/run/secrets")
CERTIFICATE = Path("/data/certificate")
OWN_ISSUER = "self-made by brain-tumor"
LASTS = timedelta(days=397)  # browsers take no longer ones
RENEWED_BEFORE = timedelta(days=30)
READABLE = 0o444  # each container has one user, and not all have the same


def main() -> None:
    public_url = sys.argv[1]
    try:
        make_secrets(SECRETS)
        make_certificate(CERTIFICATE, urlsplit(public_url).hostname or "localhost")
    except OSError as error:
        sys.exit(f"{error.filename}: {error.strerror}. The folder must belong to uid {os.getuid()}.")


def make_secrets(folder: Path) -> None:
    """Write each secret that is missing."""
    for name, make in {
        "secret_key": lambda: secrets.token_hex(32),
        "db_password": lambda: secrets.token_hex(24),
        "flower_basic_auth": lambda: f"ops:{secrets.token_urlsafe(18)}",
        "grafana_password": lambda: secrets.token_urlsafe(18),
    }.items():
        if not (folder / name).exists():
            _write(folder / name, make().encode())
            sys.stdout.write(f"made {folder / name}\n")


def make_certificate(folder: Path, host: str) -> None:
    """Write server.crt and server.key for `host` if they are missing, or our own and soon to run out."""
    certificate, key = folder / "server.crt", folder / "server.key"
    if certificate.exists() != key.exists():
        sys.exit(f"{folder} must hold both server.crt and server.key, or neither.")
    if certificate.exists() and not _runs_out(x509.load_pem_x509_certificate(certificate.read_bytes())):
        return
    private = ec.generate_private_key(ec.SECP256R1())
    _write(
        key,
        private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
        0o400,
    )
    _write(certificate, _signed(private, host).public_bytes(serialization.Encoding.PEM))
    sys.stdout.write(f"made {certificate} for {host}\n")


def _runs_out(certificate: x509.Certificate) -> bool:
    names = certificate.issuer.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    is_ours = [name.value for name in names] == [OWN_ISSUER]
    return is_ours and certificate.not_valid_after_utc < datetime.now(UTC) + RENEWED_BEFORE


def _signed(private: ec.EllipticCurvePrivateKey, host: str) -> x509.Certificate:
    now = datetime.now(UTC)
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, OWN_ISSUER),
            x509.NameAttribute(NameOID.COMMON_NAME, host[:64]),
        ]
    )
    names = [_general_name(known) for known in dict.fromkeys((host, "localhost", "127.0.0.1"))]
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + LASTS)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(private, hashes.SHA256())
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _write(path: Path, content: bytes, mode: int = READABLE) -> None:
    """Whole or not at all: a reader waits until the file is there."""
    unfinished = path.with_name(f".{path.name}")
    unfinished.unlink(missing_ok=True)
    unfinished.write_bytes(content)
    unfinished.chmod(mode)
    unfinished.replace(path)


if __name__ == "__main__":
    main()
