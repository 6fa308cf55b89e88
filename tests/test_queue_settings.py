"""What clients of the queue are given, and what of the settings does not go together."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from visionops_assets.errors import SettingsError
from visionops_assets.settings import Settings, kafka_connection

PROOF = {"kafka_user": "relay", "kafka_password": SecretStr("hunter2")}


def connection(**given: Any) -> dict[str, Any]:
    return kafka_connection(Settings(kafka_bootstrap_servers="a:1,b:2", **given))


def test_by_default_nothing_is_proved() -> None:
    assert connection() == {
        "bootstrap_servers": ["a:1", "b:2"],
        "security_protocol": "PLAINTEXT",
    }


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
@pytest.mark.parametrize("protocol", ["SASL_PLAINTEXT", "SASL_SSL"])
def test_a_user_is_shown_by_its_mechanism(protocol: str, mechanism: str) -> None:
    given = connection(kafka_security_protocol=protocol, kafka_sasl_mechanism=mechanism, **PROOF)
    assert given["security_protocol"] == protocol
    assert given["sasl_mechanism"] == mechanism
    assert (given["sasl_plain_username"], given["sasl_plain_password"]) == ("relay", "hunter2")


def test_files_are_those_of_tls(tmp_path: Path) -> None:
    files = {name: tmp_path / name for name in ("ca_file", "certificate_file", "key_file")}
    for file in files.values():
        file.touch()
    given = connection(
        kafka_security_protocol="SSL", **{f"kafka_{name}": file for name, file in files.items()}
    )
    assert given["ssl_cafile"] == str(files["ca_file"])
    assert given["ssl_certfile"] == str(files["certificate_file"])
    assert given["ssl_keyfile"] == str(files["key_file"])


def test_a_role_needs_no_user() -> None:
    given = connection(kafka_security_protocol="SASL_SSL", kafka_sasl_mechanism="AWS_MSK_IAM")
    assert given["sasl_mechanism"] == "AWS_MSK_IAM"
    assert "sasl_plain_username" not in given


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"kafka_security_protocol": "SASL_SSL"}, ["SASL_MECHANISM", "USER", "PASSWORD"]),
        (
            {"kafka_security_protocol": "SASL_SSL", "kafka_sasl_mechanism": "PLAIN"}
            | {"kafka_user": "relay"},
            ["PASSWORD"],
        ),
        # Else nobody would notice that the queue asks for none.
        (PROOF, ["USER", "PASSWORD", "SECURITY_PROTOCOL"]),
        ({"kafka_security_protocol": "SSL"} | PROOF, ["PASSWORD", "SECURITY_PROTOCOL"]),
        ({"kafka_ca_file": Path("/dev/null")}, ["CA_FILE", "SECURITY_PROTOCOL"]),
        (
            {"kafka_security_protocol": "SSL", "kafka_key_file": Path("/dev/null")},
            ["CERTIFICATE_FILE", "KEY_FILE"],
        ),
        (
            {"kafka_security_protocol": "SASL_PLAINTEXT", "kafka_sasl_mechanism": "AWS_MSK_IAM"},
            ["SECURITY_PROTOCOL"],
        ),
    ],
)
def test_what_does_not_go_together_is_named(given: dict[str, Any], named: list[str]) -> None:
    with pytest.raises(SettingsError) as caught:
        connection(**given)
    for name in named:
        assert f"VISIONOPS_KAFKA_{name}" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"no file .*/ca\.pem"):
        connection(kafka_security_protocol="SSL", kafka_ca_file=tmp_path / "ca.pem")
