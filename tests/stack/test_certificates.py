import ssl
import stat
from pathlib import Path

import pytest
from cryptography import x509

from visionops_assets.settings import Settings
from visionops_assets.stack.certificates import certificate_environment, write_certificate
from visionops_assets.stack.plan import Plan
from visionops_assets.stack.ports import DEFAULT_PORTS
from visionops_assets.stack.seaweedfs import seaweedfs


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    path = tmp_path / "run" / "store.pem"
    write_certificate(path, ["127.0.0.1"])
    return path


def test_only_its_owner_can_read_the_key(certificate: Path) -> None:
    assert stat.S_IMODE(certificate.stat().st_mode) == 0o600


def test_it_is_pair_and_authority_in_one_file(certificate: Path) -> None:
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate)
    assert len(ssl.create_default_context(cafile=str(certificate)).get_ca_certs()) == 1


def test_each_is_another(certificate: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    write_certificate(other, ["127.0.0.1"])
    keys = [
        x509.load_pem_x509_certificate(path.read_bytes()).public_key().public_numbers()  # type: ignore[union-attr]
        for path in (certificate, other)
    ]
    assert keys[0] != keys[1]


def test_every_part_that_the_store_starts_wants_it() -> None:
    variables = certificate_environment(Path("store.pem"))
    server = seaweedfs(Plan(Settings(), DEFAULT_PORTS, frozenset()))
    parts = {
        word.removeprefix("-").partition(".port")[0].upper()
        for word in server.command
        if ".port=" in word
    }
    assert parts == {"S3", "MASTER", "VOLUME", "FILER", "ADMIN"}
    for part in parts:
        assert {f"WEED_GRPC_{part}_CERT", f"WEED_GRPC_{part}_KEY"} <= variables.keys()
    for part in parts - {"S3"}:
        names = {f"WEED_HTTPS_{part}_{use}" for use in ("CERT", "KEY", "CA")}
        assert names <= variables.keys()
    assert (
        server.env.items() >= certificate_environment(Settings().home / "run" / "store.pem").items()
    )
