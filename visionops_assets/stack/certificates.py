"""Certificates by which servers of one machine know each other, where nothing better is there.

SeaweedFS is several servers that trust everybody who reaches their ports, and Alertmanager lets
pages of every origin silence alerts. So they demand a client certificate. There is only one, and
its key is in a file of the stack's owner.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from visionops_assets.stack.paths import write_private

_GRPC_PARTS = ("MASTER", "VOLUME", "FILER", "S3", "ADMIN", "WORKER", "CLIENT")
_HTTP_PARTS = ("MASTER", "VOLUME", "FILER", "ADMIN", "CLIENT")
# An expiry would only stop running servers.
_VALID_FOR = timedelta(days=36_500)


def certificate_environment(certificate: Path) -> dict[str, str]:
    """Return variables that make every part of SeaweedFS show a certificate, and demand it.

    They are the settings of its security.toml (`weed scaffold -config=security`). The certificate
    is its own authority.
    """
    path = str(certificate)
    sections = (*(f"GRPC_{part}" for part in _GRPC_PARTS), *(f"HTTPS_{p}" for p in _HTTP_PARTS))
    pairs = {f"WEED_{section}_{use}": path for section in sections for use in ("CERT", "KEY")}
    authorities = {f"WEED_HTTPS_{part}_CA": path for part in _HTTP_PARTS}
    return pairs | authorities | {"WEED_GRPC_CA": path, "WEED_HTTPS_CLIENT_ENABLED": "true"}


def write_certificate(path: Path, addresses: Iterable[str]) -> None:
    """Write a new key and its certificate, in PEM, to one file that only its owner can read.

    `addresses` are the IP addresses at which its servers are found.
    """
    from cryptography import x509  # noqa: PLC0415 - slow to import
    from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "VisionOps stack")])
    found_at = x509.SubjectAlternativeName([x509.IPAddress(ip_address(a)) for a in addresses])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + _VALID_FOR)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(found_at, critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ) + certificate.public_bytes(serialization.Encoding.PEM)
    write_private(path, pem.decode())
