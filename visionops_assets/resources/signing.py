"""Signs exports and releases, and verifies their signatures.

Signatures are Ed25519 (RFC 8032). The private key lies beside the stack's other credentials or, on
a cluster, in a mounted secret. Somebody who can only write to the object store cannot forge a
signature.
"""

import base64
import os
from contextlib import suppress
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from visionops_assets.errors import SettingsError, UntrustedArtifactError
from visionops_assets.settings import load_settings

KEY_FILE = "signing.key"


def sign(data: bytes) -> str:
    """Return the signature of `data` with our key, in Base64.

    Raises:
        SettingsError: the key file cannot be used.
    """
    return base64.b64encode(_private_key().sign(data)).decode()


def verify(data: bytes, signature: str) -> None:
    """Return if `data` was signed with our key.

    Raises:
        UntrustedArtifactError: it was not signed with our key, or was changed since.
        SettingsError: the key file cannot be used.
    """
    try:
        _private_key().public_key().verify(base64.b64decode(signature, validate=True), data)
    except (InvalidSignature, ValueError):
        raise UntrustedArtifactError(
            "It was not signed with the key of this installation, or was changed since: export "
            "and release the model again."
        ) from None


def _private_key() -> Ed25519PrivateKey:
    settings = load_settings()
    path = settings.signing_key_file or settings.home / KEY_FILE
    if settings.signing_key_file is None and not path.exists():
        _create_key(path)
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise SettingsError(
            f"The signing key {path} cannot be used: {error}. It must be an unencrypted Ed25519 "
            "private key in PEM; see VISIONOPS_SIGNING_KEY_FILE."
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise SettingsError(f"The signing key {path} is not of type Ed25519.")
    return key


def _create_key(path: Path) -> None:
    """Write a new key that only its owner can read. If two processes do so at once, one wins."""
    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(pem)
    with suppress(FileExistsError):
        path.hardlink_to(draft)
    draft.unlink()
