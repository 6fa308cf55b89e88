"""The server's side of SCRAM (RFC 5802, RFC 7677) and of two other mechanisms of SASL.

Written from the RFCs, and held to their example by a test: the client's side is kafka-python's.
"""

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Callable, Generator, Mapping

from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

ITERATIONS = 4096
REGION = "eu-central-1"
Exchange = Generator[tuple[bytes, bool], bytes, None]
"""Takes what a client says, and yields what it is answered and whether that lets it in.

It first yields nothing, and ends where the client is refused.
"""
BEGIN = b"", False


def scram(
    digest: str, passwords: Mapping[str, str], salt: bytes | None = None, nonce: str | None = None
) -> Exchange:
    """Let in whoever proves, without telling it, that it has the password of a user."""
    first_bare = (yield BEGIN).decode().removeprefix("n,,")
    named = _attributes(first_bare)
    salt = salt or secrets.token_bytes(16)
    joint_nonce = named["r"] + (nonce or secrets.token_hex(12))
    server_first = f"r={joint_nonce},s={base64.b64encode(salt).decode()},i={ITERATIONS}"
    final = (yield server_first.encode(), False).decode()
    without_proof, _, proof = final.rpartition(",p=")
    password = passwords.get(named["n"], "")
    salted = hashlib.pbkdf2_hmac(digest, password.encode(), salt, ITERATIONS)
    said = ",".join((first_bare, server_first, without_proof)).encode()
    stored_key = hashlib.new(digest, _hmac(digest, salted, b"Client Key")).digest()
    signature = _hmac(digest, stored_key, said)
    claimed = bytes(a ^ b for a, b in zip(base64.b64decode(proof), signature, strict=True))
    if _attributes(without_proof)["r"] != joint_nonce or named["n"] not in passwords:
        return
    if not hmac.compare_digest(hashlib.new(digest, claimed).digest(), stored_key):
        return
    verifier = _hmac(digest, _hmac(digest, salted, b"Server Key"), said)
    yield b"v=" + base64.b64encode(verifier), True


def plain(passwords: Mapping[str, str]) -> Exchange:
    """Let in whoever tells the password of a user (RFC 4616)."""
    _, user, password = (yield BEGIN).decode().split("\0")
    if passwords.get(user) == password:
        yield b"", True


def iam(keys: Mapping[str, str]) -> Exchange:
    """Let in whoever signs by a key of AWS, as MSK does: a signed URL, in parts, as JSON."""
    shown = json.loads((yield BEGIN))
    key_id = shown["x-amz-credential"].partition("/")[0]
    request = AWSRequest("GET", f"https://{shown['host']}/", params={"Action": shown["action"]})
    request.context["timestamp"] = shown["x-amz-date"]
    signer = SigV4QueryAuth(
        Credentials(key_id, keys.get(key_id, "")), "kafka-cluster", REGION, expires=900
    )
    signer._modify_request_before_signing(request)
    text = signer.string_to_sign(request, signer.canonical_request(request))
    if key_id in keys and signer.signature(text, request) == shown["x-amz-signature"]:
        yield b'{"version":"2020_10_22"}', True


def mechanisms(passwords: Mapping[str, str]) -> dict[str, Callable[[], Exchange]]:
    """Return what begins an exchange, by the mechanism's name."""
    return {
        "PLAIN": lambda: plain(passwords),
        "SCRAM-SHA-256": lambda: scram("sha256", passwords),
        "SCRAM-SHA-512": lambda: scram("sha512", passwords),
        "AWS_MSK_IAM": lambda: iam(passwords),
    }


def _attributes(message: str) -> dict[str, str]:
    return dict(part.split("=", 1) for part in message.split(",") if "=" in part)


def _hmac(digest: str, key: bytes, message: bytes) -> bytes:
    return hmac.new(key, message, digest).digest()
