"""An authority and the certificates that it signs, in PEM files: a broker's and a client's."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

VALID_FOR = timedelta(days=1)


class Authority:
    """Signs certificates. Its own is `<folder>/<name>.pem`."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named(name)
        own = self._builder(self._name, self._key.public_key()).add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
        self.file = folder / f"{name}.pem"
        self.file.write_bytes(_pem(own.sign(self._key, hashes.SHA256())))

    def sign(self, name: str, *hosts: str, group: str = "") -> tuple[Path, Path]:
        """Make a key and its certificate, and return their files: certificate, key.

        `group` is the subject's organisation, in which Kubernetes sees a group of users.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        builder = self._builder(_named(name, group), key.public_key())
        if hosts:
            found_at = x509.SubjectAlternativeName([_host(host) for host in hosts])
            builder = builder.add_extension(found_at, critical=False)
        certificate, key_file = self._folder / f"{name}.crt", self._folder / f"{name}.key"
        certificate.write_bytes(_pem(builder.sign(self._key, hashes.SHA256())))
        key_file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        key_file.chmod(0o600)
        return certificate, key_file

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey
    ) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - VALID_FOR)
            .not_valid_after(now + VALID_FOR)
        )


def _named(name: str, group: str = "") -> x509.Name:
    parts = {x509.NameOID.COMMON_NAME: name, x509.NameOID.ORGANIZATION_NAME: group}
    return x509.Name([x509.NameAttribute(oid, text) for oid, text in parts.items() if text])


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
