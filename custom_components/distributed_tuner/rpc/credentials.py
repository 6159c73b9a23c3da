"""A search's certificate and bearer token, by which its chief and workers trust each other over a network.

They reach the processes as files that only they may read, never as arguments or environment variables: in a pod, as a
mounted folder; on one machine, where the traffic is not encrypted, as a token in the search directory for workers that
are started by hand. The private key of the CA that signed the certificate is discarded at once: nobody can issue a
second certificate for the search.
"""

from __future__ import annotations

import dataclasses
import datetime
import secrets
from collections.abc import Sequence
from pathlib import Path

from custom_components.distributed_tuner.errors import SearchError
from custom_components.distributed_tuner.host import files

TOKEN_FILE = "token"
AUTHORITY_FILE = "ca.crt"
CERTIFICATE_FILE = "tls.crt"
KEY_FILE = "tls.key"

# Longer than any search. The skew is for clocks that differ.
_VALID_DAYS = 400
_SKEW = datetime.timedelta(hours=1)


@dataclasses.dataclass(frozen=True)
class Access:
    """What a client needs.

    Attributes:
      token: the search's bearer token.
      authority: the CA certificate, PEM, by which the chief's is verified; None within one machine, where the
        connection is not encrypted.
    """

    token: str = dataclasses.field(repr=False)
    authority: bytes | None = None


@dataclasses.dataclass(frozen=True)
class ServerKey:
    """The chief's certificate and private key, both PEM."""

    certificate: bytes
    key: bytes = dataclasses.field(repr=False)


@dataclasses.dataclass(frozen=True)
class Credentials:
    """All credentials of one search."""

    access: Access
    server: ServerKey

    def chief_files(self) -> dict[str, str]:
        """What the chief gets, by file name."""
        return {
            TOKEN_FILE: self.access.token,
            CERTIFICATE_FILE: self.server.certificate.decode(),
            KEY_FILE: self.server.key.decode(),
        }

    def worker_files(self) -> dict[str, str]:
        """What workers get, by file name."""
        return {TOKEN_FILE: self.access.token, AUTHORITY_FILE: (self.access.authority or b"").decode()}


def make(hosts: Sequence[str]) -> Credentials:
    """Makes the credentials of a new search.

    Args:
      hosts: the DNS names that clients may call the chief by.
    """
    # Imported here: only whoever starts a search on a cluster makes certificates.
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    now = datetime.datetime.now(datetime.timezone.utc)

    def builder(name: str, issuer: str, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(named(name))
            .issuer_name(named(issuer))
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _SKEW)
            .not_valid_after(now + datetime.timedelta(days=_VALID_DAYS))
        )

    def named(name: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, name)])

    def usage(*, signs_certificates: bool) -> x509.KeyUsage:
        return x509.KeyUsage(
            digital_signature=not signs_certificates,
            key_cert_sign=signs_certificates,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            crl_sign=False,
            encipher_only=False,
            decipher_only=False,
        )

    authority_key, server_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    signer, server = "distributed-tuner search", "distributed-tuner chief"
    authority = (
        builder(signer, signer, authority_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    certificate = (
        builder(server, signer, server_key.public_key())
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    key = server_key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    access = Access(secrets.token_urlsafe(32), authority.public_bytes(pem))
    return Credentials(access, ServerKey(certificate.public_bytes(pem), key))


def read_access(folder: Path) -> Access:
    """Reads what a worker was given.

    Raises:
      SearchError: a file is missing, empty or unreadable.
    """
    return Access(_read(folder, TOKEN_FILE).decode(), _read(folder, AUTHORITY_FILE))


def read_chief(folder: Path) -> tuple[str, ServerKey]:
    """Reads what a chief was given: (the token, certificate and key).

    Raises:
      SearchError: a file is missing, empty or unreadable.
    """
    token = _read(folder, TOKEN_FILE).decode()
    return token, ServerKey(_read(folder, CERTIFICATE_FILE), _read(folder, KEY_FILE))


def store_token(path: Path, token: str) -> None:
    """Stores a token for other processes of the same user, readable by nobody else.

    Raises:
      OSError: the disk is full or not writable.
    """
    files.write_atomically(path, token.encode(), mode=0o600)


def stored_token(path: Path) -> str | None:
    """Reads what `store_token` stored, None if there is nothing.

    Raises:
      SearchError: this user may not read it.
    """
    try:
        return path.read_text("utf-8").strip() or None
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is damaged"
        raise SearchError(
            f"the search's token cannot be read: {path}: {reason}. It is for the user who started the search, and for "
            "nobody else: join as that user"
        ) from error


def _read(folder: Path, name: str) -> bytes:
    try:
        data = (folder / name).read_bytes().strip()
    except OSError as error:
        raise SearchError(
            f"the search's credentials cannot be read: {folder / name}: {error.strerror}. They are mounted from the "
            "search's Secret; the pod's user (run_as_user) must be the volume's group (fsGroup)"
        ) from error
    if not data:
        raise SearchError(f"{folder / name} is empty; it is mounted from the search's Secret")
    return data
