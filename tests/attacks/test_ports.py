"""Every port that the stack listens on, as a web page or another user of the machine finds it.

The machine says which ports those are, and `stack/ports.py` how each is guarded: a server that is
added without a guard, or whose guard is not tried here, fails.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from pathlib import Path

import httpx
import numpy as np
import psutil
import psycopg
import pytest
import websockets
from sqlalchemy.engine import make_url
from tritonclient.grpc import InferenceServerClient, InferInput
from tritonclient.utils import InferenceServerException

from tests.declared import model_of
from visionops_assets.roster.service import Guard
from visionops_assets.settings import STACK_ENV_FILE, Settings
from visionops_assets.stack import processes
from visionops_assets.stack.environment import planned_ports
from visionops_assets.stack.paths import Paths
from visionops_assets.stack.ports import PORTS
from visionops_assets.stack.probes import host_and_port

pytestmark = pytest.mark.integration

HOST = "127.0.0.1"
PAGE = {"origin": "https://attacker.example"}
REBOUND = {"host": "attacker.example"}
PLAIN = {"content-type": "text/plain"}
# Paths that say whether a server is well, and nothing else.
HEALTH = {"/healthz", "/readyz", "/v2/health/live", "/v2/health/ready"}


@pytest.fixture(scope="module")
def ports(stack: Settings) -> Mapping[str, int]:
    return planned_ports(stack.home / STACK_ENV_FILE)


def listening(home: Path) -> Iterator[tuple[str, str, int]]:
    """Yield the server, address and port of every socket that a process of the stack listens on."""
    servers = processes.read_servers(Paths(home).run)
    assert servers
    of_process = {}
    for name, record in servers.items():
        first = psutil.Process(record.pid)
        for process in (first, *first.children(recursive=True)):
            of_process[process.pid] = name
        of_process |= dict.fromkeys(processes.session_members(record.pid), name)
    for connection in psutil.net_connections("inet"):
        by_datagrams = connection.type == socket.SOCK_DGRAM and not connection.raddr
        is_open = connection.status == psutil.CONN_LISTEN or by_datagrams
        if connection.pid in of_process and is_open and connection.laddr:
            # gRPC listens to IPv4 by a socket of IPv6.
            address = connection.laddr.ip.removeprefix("::ffff:")
            yield of_process[connection.pid], address, connection.laddr.port


def test_the_list_of_ports_is_what_the_machine_says(
    stack: Settings, ports: Mapping[str, int]
) -> None:
    """Ports that nobody lists: none is open, and every open one is on loopback alone."""
    names = {number: name for name, number in ports.items()}
    found = set()
    for server, address, number in listening(stack.home):
        assert address in {HOST, "::1"}, f"{server} listens on {address}:{number}"
        assert number in names, f"{server} listens on port {number}, which PORTS does not list"
        assert PORTS[names[number]].server == server
        found.add(names[number])
    running = set(processes.read_servers(Paths(stack.home).run))
    assert found == {name for name, port in PORTS.items() if port.server in running}


def request(
    port: int,
    method: str,
    path: str,
    headers: Mapping[str, str],
    body: str = "",
    timeout_s: float = 10.0,
) -> httpx.Response | None:
    """Send a request as a browser would; None if no HTTP comes back."""
    url = f"http://{HOST}:{port}{path}"
    try:
        return httpx.request(
            method, url, headers=dict(headers), content=body, trust_env=False, timeout=timeout_s
        )
    except httpx.HTTPError:
        return None


def is_refused(answer: httpx.Response | None) -> bool:
    return answer is None or answer.is_client_error


def shakes_hands(port: int, certificate: Path | None = None) -> bool:
    """Say whether a TLS connection comes about, with a certificate or without."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    # The version after it tells of a missing certificate only when data are read.
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["h2", "http/1.1"])
    if certificate:
        context.load_cert_chain(certificate)
    try:
        with socket.create_connection((HOST, port), timeout=10) as plain:
            context.wrap_socket(plain).close()
    except (ssl.SSLError, ConnectionError):
        return False
    return True


def wants_a_certificate(stack: Settings, port: int) -> None:
    is_alertmanager = port == host_and_port(stack.alertmanager_url)[1]
    certificate = (
        stack.home / "prometheus" / "alertmanager.pem"
        if is_alertmanager
        else Paths(stack.home).run / "store.pem"
    )
    model = "/buckets/visionops/triton/classifier/1/model.py"
    for path in ("/", model, "/dir/assign", "/status", "/api/v2/silences", "/-/reload"):
        for method in ("GET", "POST", "PUT", "DELETE"):
            assert is_refused(request(port, method, path, PAGE, "x")), path
    assert not shakes_hands(port)
    # Else the port might be shut for another reason than this one.
    assert shakes_hands(port, certificate)


def wants_the_keys_of_s3(stack: Settings, port: int) -> None:
    for method, path in (
        ("GET", "/"),
        ("GET", "/visionops?list-type=2"),
        ("PUT", "/visionops/triton/classifier/1/model.py"),
        ("DELETE", "/visionops/media"),
        ("POST", "/visionops/triton/classifier/1/model.py?uploads"),
    ):
        answer = request(port, method, path, PAGE, "x")
        assert answer is not None
        assert answer.is_client_error, (method, path)


def wants_a_password(stack: Settings, port: int) -> None:
    role = make_url(stack.postgres_url.get_secret_value()).username
    for user in (str(role), "postgres", "nobody"):
        for password in ("", user):
            with pytest.raises(psycopg.OperationalError):
                psycopg.connect(
                    host=HOST, port=port, user=user, password=password, dbname="dagster"
                )


def wants_tritons_key_by_http(stack: Settings, port: int) -> None:
    model = f"/v2/models/{model_of(stack).name}"
    for method, path in (
        ("POST", f"{model}/infer"),
        ("POST", f"{model}/generate"),
        ("GET", model),
        ("GET", f"{model}/config"),
        ("GET", f"{model}/stats"),
        ("GET", "/v2"),
        ("POST", "/v2/repository/index"),
        ("POST", f"/v2/repository/models/{model_of(stack).name}/load"),
        ("POST", f"/v2/repository/models/{model_of(stack).name}/unload"),
        ("POST", "/v2/systemsharedmemory/region/x/register"),
        ("GET", "/v2/systemsharedmemory/status"),
        ("POST", "/v2/cudasharedmemory/region/x/register"),
        ("GET", "/v2/logging"),
        ("POST", "/v2/logging"),
        ("GET", "/v2/trace/setting"),
        ("POST", "/v2/trace/setting"),
    ):
        answer = request(port, method, path, PAGE | PLAIN, "{}")
        assert answer is not None
        assert answer.status_code == HTTPStatus.FORBIDDEN, (method, path)


def wants_an_api_key_by_grpc(stack: Settings, port: int) -> None:
    """Health is open, as by HTTP. With a wrong key a method does no more than without one."""
    model = model_of(stack).name
    wrong = {"authorization": f"Bearer vo_00000000_{'x' * 43}"}
    image = InferInput("IMAGE", [1, 1], "BYTES")
    image.set_data_from_numpy(np.array([[b"x"]], dtype=np.object_))
    with InferenceServerClient(f"{HOST}:{port}") as client:
        assert client.is_server_live()
        attempts: tuple[Callable[..., object], ...] = (
            client.get_server_metadata,
            lambda **given: client.is_model_ready(model, **given),
            lambda **given: client.get_model_metadata(model, **given),
            lambda **given: client.get_model_config(model, **given),
            lambda **given: client.infer(model, [image], **given),
        )
        for attempt in attempts:
            for headers in ({}, wrong):
                with pytest.raises(InferenceServerException, match="UNAUTHENTICATED"):
                    attempt(headers=headers)
        for absent in (
            client.get_model_repository_index,
            client.get_inference_statistics,
            client.get_system_shared_memory_status,
            client.get_log_settings,
            lambda: client.unload_model(model),
        ):
            with pytest.raises(InferenceServerException, match="UNIMPLEMENTED"):
                absent()
    assert is_refused(request(port, "POST", "/v1/predict", PAGE | PLAIN, "x", timeout_s=1.5))


_STORE = ("s3_grpc", "master", "master_grpc", "volume", "volume_grpc", "filer", "filer_grpc")
WITHOUT_CREDENTIAL: Mapping[str, Callable[[Settings, int], None]] = {
    **dict.fromkeys((*_STORE, "admin", "admin_grpc"), wants_a_certificate),
    "s3": wants_the_keys_of_s3,
    "postgres": wants_a_password,
    "triton_http": wants_tritons_key_by_http,
    "alertmanager": wants_a_certificate,
    "gateway_grpc": wants_an_api_key_by_grpc,
}


@pytest.mark.parametrize("name", [n for n, p in PORTS.items() if p.guard is Guard.CREDENTIAL])
def test_without_the_credential(stack: Settings, ports: Mapping[str, int], name: str) -> None:
    """A port that wants a credential, without it: nothing is given and nothing taken."""
    if PORTS[name].server not in processes.read_servers(Paths(stack.home).run):
        pytest.skip(f"{PORTS[name].server} is not installed")
    WITHOUT_CREDENTIAL[name](stack, ports[name])


CHANGES = {
    "mlflow": ("/api/2.0/mlflow/experiments/create", '{"name": "of a page of elsewhere"}'),
    "dagster": ("/graphql", '{"query": "mutation { reloadWorkspace { __typename } }"}'),
    "ingest": ("/v1/media", "x"),
    "gateway": ("/v1/predict", "x"),
    "alerts": ("/v1/alerts", "{}"),
}
NO_CHANGES = ("/metrics", "")
"""Those of services that change nothing."""


@pytest.mark.parametrize("name", [n for n, p in PORTS.items() if p.guard is Guard.OWN_PAGES])
def test_a_page_of_elsewhere(ports: Mapping[str, int], name: str) -> None:
    """A page of another origin, and one whose name was bound to this machine: both get 403."""
    path, body = CHANGES.get(name, NO_CHANGES)
    kinds = (PLAIN, {"content-type": "application/json"})
    for headers in [kind | who for kind in kinds for who in (PAGE, REBOUND, PAGE | REBOUND)]:
        answer = request(ports[name], "POST", path, headers, body)
        assert answer is not None
        assert answer.status_code == HTTPStatus.FORBIDDEN, headers
    read = request(ports[name], "GET", "/", REBOUND)
    assert read is not None
    assert read.status_code == HTTPStatus.FORBIDDEN


def test_a_page_finds_no_other_way_to_graphql(ports: Mapping[str, int]) -> None:
    """Dagster's GraphQL by GET, as text, as a form and by WebSocket: no mutation is carried out."""
    path, mutation = CHANGES["dagster"]
    port = ports["dagster"]
    by_get = request(port, "GET", f"{path}?query=mutation{{reloadWorkspace{{__typename}}}}", {})
    assert by_get is not None
    assert by_get.status_code == HTTPStatus.METHOD_NOT_ALLOWED
    for kind in ("text/plain", "application/graphql", "application/x-www-form-urlencoded"):
        answer = request(port, "POST", path, {"content-type": kind}, mutation)
        assert answer is not None
        assert answer.status_code == HTTPStatus.UNSUPPORTED_MEDIA_TYPE

    async def connect() -> None:
        url = f"ws://{HOST}:{port}{path}"
        async with websockets.connect(url, origin=websockets.Origin(PAGE["origin"])):
            pass

    with pytest.raises(websockets.InvalidStatus):
        asyncio.run(connect())
    own = {"content-type": "application/json"}
    answered = request(port, "POST", path, own, '{"query": "{ version }"}')
    assert answered is not None
    assert answered.json()["data"]["version"]


@pytest.mark.parametrize("name", [n for n, p in PORTS.items() if p.guard is Guard.EXEMPT])
def test_an_exempt_port(stack: Settings, ports: Mapping[str, int], name: str) -> None:
    """A port that is exempt, from a web page: it has no change to offer by HTTP."""
    assert PORTS[name].reason
    for path in ("/", "/-/reload", "/-/quit", "/api/v1/admin/tsdb/delete_series"):
        # A server that waits for more of its own protocol gives no answer at all.
        answer = request(ports[name], "POST", path, PAGE | PLAIN, "{}", timeout_s=1.5)
        assert answer is None or answer.is_error, (path, answer)


def test_tritons_other_protocols(stack: Settings) -> None:
    """Triton's gRPC without the key: shared memory, logs, traces and models stay as they are."""
    client = InferenceServerClient(stack.triton_grpc_address)
    model = model_of(stack).name
    attempts: tuple[Callable[[], object], ...] = (
        lambda: client.register_system_shared_memory("region", "/region", 64),
        client.unregister_system_shared_memory,
        client.get_system_shared_memory_status,
        lambda: client.register_cuda_shared_memory("region", b"", 0, 64),
        client.get_log_settings,
        lambda: client.update_log_settings({"log_file": "/tmp/log"}),
        client.get_trace_settings,
        lambda: client.update_trace_settings(settings={"trace_file": "/tmp/trace"}),
        client.get_inference_statistics,
        client.get_model_repository_index,
        lambda: client.load_model(model),
        lambda: client.unload_model(model),
    )
    with client:
        assert client.is_server_live()
        for attempt in attempts:
            with pytest.raises(InferenceServerException, match="restricted"):
                attempt()
