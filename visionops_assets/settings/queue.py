"""How a client reaches the queue: one answer for the broker, the recorder in Triton and tools."""

from collections.abc import Mapping
from typing import Any

from visionops_assets.errors import SettingsError
from visionops_assets.settings.servers import ServerSettings

IAM = "AWS_MSK_IAM"
_OF_TLS = ("kafka_ca_file", "kafka_certificate_file", "kafka_key_file")
_OF_SASL = ("kafka_sasl_mechanism", "kafka_user", "kafka_password")


def kafka_connection(settings: ServerSettings) -> dict[str, Any]:
    """Return the arguments by which a client of kafka-python reaches the queue and says who it is.

    Holds the password: pass it on, never print it.

    Raises:
        SettingsError: the protocol needs a setting that is not given, or has no use for one that
            is: a password that is not asked for is a queue that lets in everybody.
    """
    protocol = settings.kafka_security_protocol
    uses_tls, uses_sasl = protocol.endswith("SSL"), protocol.startswith("SASL")
    for fields, used in ((_OF_TLS, uses_tls), (_OF_SASL, uses_sasl)):
        given = [field for field in fields if getattr(settings, field) is not None]
        if given and not used:
            raise _unusable(
                f"{_named(*given)} has no use with {_named('kafka_security_protocol')}={protocol}"
            )
    return {
        "bootstrap_servers": settings.kafka_bootstrap_servers.split(","),
        "security_protocol": protocol,
        **_tls(settings),
        **(_sasl(settings) if uses_sasl else {}),
    }


def _tls(settings: ServerSettings) -> Mapping[str, str]:
    """Return what tells a genuine broker, by name and authority, and the client's certificate.

    Without TLS no file is given, and nothing returned.
    """
    files = {
        "ssl_cafile": settings.kafka_ca_file,
        "ssl_certfile": settings.kafka_certificate_file,
        "ssl_keyfile": settings.kafka_key_file,
    }
    if (files["ssl_certfile"] is None) != (files["ssl_keyfile"] is None):
        raise _unusable(f"{_named(*_OF_TLS[1:])} belong together")
    missing = [str(file) for file in files.values() if file is not None and not file.is_file()]
    if missing:
        raise _unusable(f"there is no file {', '.join(missing)}")
    return {argument: str(file) for argument, file in files.items() if file is not None}


def _sasl(settings: ServerSettings) -> Mapping[str, str]:
    """Return the mechanism, and the user and password where it wants them."""
    mechanism, protocol = settings.kafka_sasl_mechanism, settings.kafka_security_protocol
    if mechanism == IAM:
        # It proves itself by AWS' default chain of credentials, and its proof could be used by
        # whoever reads it.
        if protocol != "SASL_SSL":
            raise _unusable(f"{IAM} needs {_named('kafka_security_protocol')}=SASL_SSL")
        return {"sasl_mechanism": mechanism}
    missing = [field for field in _OF_SASL if not getattr(settings, field)]
    if mechanism is None or settings.kafka_user is None or settings.kafka_password is None:
        raise _unusable(f"{protocol} needs {_named(*missing)}")
    return {
        "sasl_mechanism": mechanism,
        "sasl_plain_username": settings.kafka_user,
        "sasl_plain_password": settings.kafka_password.get_secret_value(),
    }


def _named(*fields: str) -> str:
    return " and ".join(f"VISIONOPS_{field.upper()}" for field in fields)


def _unusable(why: str) -> SettingsError:
    return SettingsError(f"Unusable settings of the queue: {why}.")
