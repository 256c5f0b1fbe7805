"""Makes the keys of a cluster: its own certificate authority, and a certificate for each machine.

Whoever has a certificate of this authority can run programs on every machine of the cluster. The authority's private key is only
needed to make further certificates, so it should stay in one safe place.
"""

import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from daemon.contract.words.printable import quoted
from daemon.errors import Refusal
from daemon.fs import FileSystem, make_folders, write_new

#: Days. Replacing keys means touching every machine, so they last for the life of the machines.
_DAYS = 3650
#: Certificates are valid from this many hours before now, because the clocks of the machines differ.
_EARLIER = timedelta(hours=24)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
CA, CA_KEY = "ca.pem", "ca-key.pem"


@dataclass(frozen=True, slots=True)
class MachineKeys:
    """The files of one machine, as absolute paths."""

    name: str
    certificate: str
    key: str


def make_keys(fs: FileSystem, folder: str, names: list[str], now: datetime | None = None) -> list[MachineKeys]:
    """Make the authority in this folder if it is not there yet, and a certificate and a private key for each name.

    Files that are there are never replaced. `now`: the current time; None: by the clock.

    Raises:
        Refusal: a name cannot be used or has a certificate already, or a file cannot be read.
        OSError: a file cannot be written.
    """
    now = now or datetime.now(UTC)
    for name in names:
        if not _NAME.fullmatch(name) or name in ("ca", "ca-key"):
            raise Refusal(
                f"{quoted(name)} cannot be the name of a machine", hint="Use letters, digits, dots and dashes.", exit_status=2
            )
    make_folders(fs, os.fsencode(folder))
    made = [MachineKeys(name, *(os.path.join(folder, f"{name}{end}.pem") for end in ("", "-key"))) for name in names]
    for each in made:
        for path in (each.certificate, each.key):
            if os.path.lexists(path):
                raise Refusal(f"{path} exists already", hint="Remove it to make new keys for this machine.", exit_status=2)
    authority, signer = _authority(fs, folder, now)
    for each in made:
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            _certificate(each.name, key.public_key(), authority.subject, now)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(each.name)]), critical=False)
            .add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
            )
            .sign(signer, hashes.SHA256())
        )
        _write(fs, each.key, _private(key), secret=True)
        _write(fs, each.certificate, certificate.public_bytes(serialization.Encoding.PEM))
    return made


def valid_until(pem: bytes) -> datetime:
    """When a certificate expires. Raises ValueError if this is no certificate."""
    return x509.load_pem_x509_certificate(pem).not_valid_after_utc


def name_in(pem: bytes) -> str | None:
    """The machine's name in a certificate; None if it has none that `make_keys` would accept. Raises ValueError."""
    found = x509.load_pem_x509_certificate(pem).subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    name = str(found[0].value) if found else ""
    return name if _NAME.fullmatch(name) else None


def _authority(fs: FileSystem, folder: str, now: datetime) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """The authority in this folder, made if it is not there."""
    path, key_path = os.path.join(folder, CA), os.path.join(folder, CA_KEY)
    if not os.path.lexists(path) and not os.path.lexists(key_path):
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Multiplane cluster")])
        authority = (
            _certificate("Multiplane cluster", key.public_key(), name, now)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(key, hashes.SHA256())
        )
        _write(fs, key_path, _private(key), secret=True)
        _write(fs, path, authority.public_bytes(serialization.Encoding.PEM))
        return authority, key
    try:
        authority = x509.load_pem_x509_certificate(fs.read(os.fsencode(path), 1 << 16))
        signer = serialization.load_pem_private_key(fs.read(os.fsencode(key_path), 1 << 16), password=None)
    except (OSError, ValueError, TypeError) as error:
        hint = f"Put {CA} and {CA_KEY} back, or choose an empty folder to begin a new cluster."
        raise Refusal(f"the cluster's authority in {folder} cannot be read: {error}", hint=hint) from error
    if not isinstance(signer, ec.EllipticCurvePrivateKey):
        raise Refusal(f"{key_path} is not a key that this program made", hint="Choose another folder.")
    return authority, signer


def _certificate(name: str, key: ec.EllipticCurvePublicKey, issuer: x509.Name, now: datetime) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _EARLIER)
        .not_valid_after(now + timedelta(days=_DAYS))
    )


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def _write(fs: FileSystem, path: str, data: bytes, *, secret: bool = False) -> None:
    """Write a new file, durably. Nobody else can read a secret one at any time."""
    before = os.umask(0o077) if secret else None
    try:
        write_new(fs, os.fsencode(path), data, durable=True)
        fs.sync_dir(os.fsencode(os.path.dirname(path)))
    finally:
        if before is not None:
            os.umask(before)
