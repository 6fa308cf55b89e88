"""Ways to see that a server is ready. Each returns a `Probe` that answers within two seconds."""

import socket
import ssl
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from visionops_assets.stack.server import Probe

_TIMEOUT_S = 2.0


@cache
def tls() -> ssl.SSLContext:
    """Return what checks certificates, made once: that takes more time than a probe."""
    return httpx.create_ssl_context(trust_env=False)


def answers_http(url: str, certificate: Path | None = None) -> Probe:
    """Say whether a GET of `url` is answered with a status below 300.

    `certificate` is a PEM file of the one that the server shows and wants.
    """

    def probe(_started_at_s: float) -> bool:
        try:
            context = tls() if certificate is None else mutual_tls(certificate)
            answer = httpx.get(url, timeout=_TIMEOUT_S, trust_env=False, verify=context)
        except (httpx.HTTPError, OSError):
            return False
        return answer.is_success

    return probe


def mutual_tls(certificate: Path) -> ssl.SSLContext:
    """Return what shows the certificate of a PEM file and trusts it alone.

    Raises:
        OSError: the file is not there, or no certificate and key.
    """
    context = ssl.create_default_context(cafile=str(certificate))
    context.load_cert_chain(certificate)
    return context


def accepts_connections(address: str) -> Probe:
    """Say whether `address` (`host:port` or a URL) accepts a TCP connection."""
    host, port = host_and_port(address)

    def probe(_started_at_s: float) -> bool:
        try:
            socket.create_connection((host, port), timeout=_TIMEOUT_S).close()
        except OSError:
            return False
        return True

    return probe


def beats(heartbeat: Path) -> Probe:
    """Say whether the file was touched since the process started: for servers without a port."""

    def probe(started_at_s: float) -> bool:
        try:
            return heartbeat.stat().st_mtime >= started_at_s
        except FileNotFoundError:
            return False

    return probe


def host_and_port(address: str) -> tuple[str, int]:
    """Split `host:port` or a URL; a URL without a port has its scheme's.

    Of a comma-separated list (Kafka's bootstrap servers) the first counts.
    """
    first = address.split(",", maxsplit=1)[0]
    parts = urlsplit(first if "://" in first else f"//{first}")
    default_port = {"https": 443, "http": 80, "postgresql": 5432}.get(
        parts.scheme.split("+")[0], 9092
    )
    return parts.hostname or "127.0.0.1", parts.port or default_port
