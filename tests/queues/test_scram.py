"""The door's side of SCRAM gives the answers of RFC 7677's example."""

from base64 import b64decode

import pytest

from tests.queues.scram import scram

CLIENT_FIRST = b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
NONCE = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
SALT = "W22ZaJ0SNY7soEsUEjb6gQ=="
CLIENT_FINAL = b"c=biws,r=rOprNGfwEbeRWgbNEkqO" + NONCE.encode() + b",p="
PROOF = b"dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
VERIFIER = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="


def test_the_example_of_the_rfc_is_let_in() -> None:
    exchange = scram("sha256", {"user": "pencil"}, b64decode(SALT), NONCE)
    next(exchange)
    first = exchange.send(CLIENT_FIRST)
    assert first == (f"r=rOprNGfwEbeRWgbNEkqO{NONCE},s={SALT},i=4096".encode(), False)
    assert exchange.send(CLIENT_FINAL + PROOF) == (VERIFIER, True)


@pytest.mark.parametrize("passwords", [{"user": "Pencil"}, {"other": "pencil"}, {}])
def test_another_password_is_not(passwords: dict[str, str]) -> None:
    exchange = scram("sha256", passwords, b64decode(SALT), NONCE)
    next(exchange)
    exchange.send(CLIENT_FIRST)
    with pytest.raises(StopIteration):
        exchange.send(CLIENT_FINAL + PROOF)
