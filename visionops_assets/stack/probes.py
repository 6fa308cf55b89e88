"""Ways to see that a server is ready. Each returns a `Probe` that answers within two seconds.

An accepted connection is not an answer: the kernel accepts it for a process that hangs.
"""

import shutil
import socket
import ssl
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx

from visionops_assets.stack.server import Probe, Trouble

if TYPE_CHECKING:
    from obstore.store import S3Store

_TIMEOUT_S = 2.0
_WRITTEN = "probes/written"
_SHOWN = 200
_ROOM = 0.02
_AN_UPLOAD_BYTES = 1_000_000


@cache
def tls() -> ssl.SSLContext:
    """Return the context that checks certificates, made once: that takes longer than a probe."""
    return httpx.create_ssl_context(trust_env=False)


@cache
def _client() -> httpx.Client:
    """Return the client of the probes: to make one takes longer than a probe.

    It keeps no connection: a server may hang on new ones alone.
    """
    limits = httpx.Limits(max_keepalive_connections=0)
    return httpx.Client(timeout=_TIMEOUT_S, trust_env=False, verify=tls(), limits=limits)


def answers_http(url: str, certificate: Path | None = None) -> Probe:
    """Say whether a GET of `url` is answered with a status below 300.

    `certificate` is the PEM file of the certificate that the server shows and demands.
    """

    def probe(_started_at_s: float) -> bool:
        try:
            if certificate is None:
                answer = _client().get(url)
            else:
                context = mutual_tls(certificate)
                answer = httpx.get(url, timeout=_TIMEOUT_S, trust_env=False, verify=context)
        except (httpx.HTTPError, OSError):
            return False
        return answer.is_success

    return probe


def mutual_tls(certificate: Path) -> ssl.SSLContext:
    """Return a context that shows the certificate of a PEM file, and trusts only that one.

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


def answers_kafka(address: str) -> Probe:
    """Say whether a broker answers with the protocol versions that it knows (ApiVersions, v0)."""
    # Length, key 18, version 0, a correlation id, and no client id.
    question = bytes.fromhex("0000000a 0012 0000 00000001 ffff")
    return _answers(address, question, is_answer=lambda answer: answer[4:8] == question[8:12])


def answers_http2(address: str) -> Probe:
    """Say whether a gRPC server answers the beginning of a connection (RFC 9113, section 3.4)."""
    question = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes.fromhex("000000 04 00 00000000")
    settings = 4
    return _answers(address, question, is_answer=lambda answer: answer[3] == settings)


def _answers(address: str, question: bytes, is_answer: Callable[[bytes], bool]) -> Probe:
    """Say whether the first nine bytes that come back are an answer to `question`."""
    host, port = host_and_port(address)

    def probe(_started_at_s: float) -> bool:
        try:
            with socket.create_connection((host, port), timeout=_TIMEOUT_S) as connection:
                connection.sendall(question)
                answer = connection.recv(9, socket.MSG_WAITALL)
        except OSError:
            return False
        return len(answer) == 9 and is_answer(answer)  # noqa: PLR2004 - as asked for

    return probe


def takes_objects(
    folder: Path, bucket: str, endpoint: str, credentials: Mapping[str, str]
) -> Callable[[], Trouble | None]:
    """Return a function that says why a store below `folder` does not take an object.

    A store whose disk is full still answers and reads, so it is not restarted. SeaweedFS 4.48
    refuses writes until it is restarted, even if there is room again.
    """

    @cache
    def store() -> "S3Store":
        from obstore.store import S3Store  # noqa: PLC0415 - slow to import

        return S3Store(
            bucket,
            endpoint=endpoint,
            access_key_id=credentials["AWS_ACCESS_KEY_ID"],
            secret_access_key=credentials["AWS_SECRET_ACCESS_KEY"],
            region=credentials["AWS_REGION"],
            client_options={"allow_http": True, "timeout": f"{_TIMEOUT_S:.0f}s"},
            retry_config={"max_retries": 0},
        )

    def trouble() -> Trouble | None:
        import obstore  # noqa: PLC0415
        from obstore.exceptions import BaseError  # noqa: PLC0415

        disk = shutil.disk_usage(folder)
        left = f"{disk.free / 1e6:.0f} MB are left on its disk"
        full = Trouble(f"refuses writes: {left}", may_pass_by_restart=False)
        # A full disk still takes small objects, into the last pages of its files.
        if disk.free < _AN_UPLOAD_BYTES:
            return full
        try:
            obstore.put(store(), _WRITTEN, b"written to see that the store takes objects")
        except BaseError as error:
            if disk.free < _ROOM * disk.total:
                return full
            return Trouble(f"refuses writes: {_first_sentence(error)}")
        return None

    return trouble


def _first_sentence(error: Exception) -> str:
    """Shorten the client's message: leave out the body of the answer."""
    return str(error).strip().partition("\n")[0].partition(": <?xml")[0][:_SHOWN]


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
