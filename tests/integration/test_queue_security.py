"""Everything that speaks to the queue, by TLS and SASL, through a door before a real broker.

The broker of one machine has neither. The door ends TLS by OpenSSL and asks for credentials at the
messages of Kafka's protocol; stunnel ends TLS, and asks for a certificate. No Apache Kafka is met
here.
"""

import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.deploy.manifests import installed
from tests.free_ports import free_ports
from tests.queues.certificates import Authority
from tests.queues.door import Door
from tests.queues.scram import REGION, mechanisms
from tests.waiting import eventually
from visionops_assets.cli import dead_letters
from visionops_assets.resources.broker import Broker, OutgoingEvent
from visionops_assets.settings import Settings, load_settings
from visionops_assets.stack import tansu
from visionops_assets.stack.probes import answers_kafka

ROOT = Path(__file__).parents[2]
USER, PASSWORD = "relay", "a pass=word, with commas"
RECORD_ONE = """
import sys, time, types
from kafka.errors import KafkaError
sys.modules["triton_python_backend_utils"] = types.ModuleType("triton_python_backend_utils")
sys.path.insert(0, "triton_models/classifier")
import recorder
from visionops_assets.settings import load_settings
until_s = time.monotonic() + 60
while True:
    try:
        producer = recorder.connect(load_settings())
        break
    except KafkaError:  # Its patience is short: other tests may have the cores.
        if time.monotonic() > until_s:
            raise
producer.send("predictions", b"from Triton's environment")
producer.close()
"""
READ = """
from visionops_assets.errors import ServerUnreachableError
from visionops_assets.resources import broker
broker.BOOTSTRAP_TIMEOUT_S = 3.0
try:
    with broker.Broker().reader():
        print("let in")
except ServerUnreachableError as error:
    print(error)
"""

Guarded = Callable[..., AbstractContextManager[Settings]]


@contextmanager
def running_broker(port: int, advertised: int) -> Iterator[None]:
    """Run the broker of `visionops up`, with its log in memory."""
    command = [
        *(tansu._binary(), "broker", "--storage-engine", "memory://tansu/"),
        *("--listener-url", f"tcp://127.0.0.1:{port}"),
        *("--advertised-listener-url", f"tcp://localhost:{advertised}"),
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            answers = answers_kafka(f"127.0.0.1:{port}")
            eventually("broker", lambda: answers(0.0), 60)
            yield
        finally:
            process.terminate()


@contextmanager
def stunnel(port: int, behind: int, authority: Authority, folder: Path) -> Iterator[None]:
    """End TLS as companies do, for those who have a certificate of the authority."""
    certificate, key = authority.sign("broker", "localhost")
    lines = [
        *("foreground = yes", "pid =", "[kafka]", f"accept = 127.0.0.1:{port}"),
        *(f"connect = 127.0.0.1:{behind}", f"cert = {certificate}", f"key = {key}"),
        *("verifyChain = yes", f"CAfile = {authority.file}"),
    ]
    file, log = folder / "stunnel.conf", folder / "stunnel.log"
    file.write_text("\n".join(lines) + "\n")
    program = installed("stunnel4", "apt-get install stunnel4")
    with log.open("w") as out, subprocess.Popen([program, file], stderr=out) as process:
        try:
            eventually("stunnel", lambda: "Configuration successful" in log.read_text(), 10)
            yield
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def guarded(
    authority: Authority, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Guarded]:
    """Return what opens a door before a broker, and lets the settings lead to it."""

    @contextmanager
    def opened(
        environment: dict[str, str],
        host: str = "localhost",
        *,
        tls: bool = True,
        wants_certificate: bool = False,
        asks: bool = True,
        by_stunnel: bool = False,
    ) -> Iterator[Settings]:
        door_port, broker_port = free_ports(2)
        context = None
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*authority.sign("broker", host))
        if context and wants_certificate:
            context.load_verify_locations(authority.file)
            context.verify_mode = ssl.CERT_REQUIRED
        door = Door(broker_port, context, mechanisms({USER: PASSWORD}) if asks else {})
        with ExitStack() as held:
            held.enter_context(running_broker(broker_port, door_port))
            held.enter_context(
                stunnel(door_port, broker_port, authority, tmp_path)
                if by_stunnel
                else door.open(door_port)
            )
            monkeypatch.setenv("VISIONOPS_HOME", str(tmp_path))
            monkeypatch.setenv("VISIONOPS_KAFKA_BOOTSTRAP_SERVERS", f"localhost:{door_port}")
            monkeypatch.setenv("VISIONOPS_KAFKA_IDEMPOTENT_PRODUCER", "false")
            for name, value in environment.items():
                monkeypatch.setenv(f"VISIONOPS_KAFKA_{name}", value)
            load_settings.cache_clear()
            yield load_settings()

    yield opened
    load_settings.cache_clear()


def sasl(mechanism: str, protocol: str = "SASL_SSL", password: str = PASSWORD) -> dict[str, str]:
    return {
        "SECURITY_PROTOCOL": protocol,
        "SASL_MECHANISM": mechanism,
        "USER": USER,
        "PASSWORD": password,
    }


def use_everything(settings: Settings) -> None:
    """Make the topics, publish and read, record as a model in Triton does, and use a tool."""
    tansu._create_topics(settings)
    with Broker().producer() as producer:
        producer.publish_all([OutgoingEvent("media", "key", b"published", "an id")])
    done = subprocess.run(
        [settings.triton_environment / "bin" / "python", "-c", RECORD_ONE],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    with Broker().reader() as reader:
        assert [event.value for event in reader.read_all("media")] == [b"published"]
        [recorded] = reader.read_all("predictions")
        assert recorded.value == b"from Triton's environment"
    assert dead_letters._read_letters() == {}


def refusal() -> str:
    """Return what is said of a queue that does not let us in, or is not the one that we trust."""
    # In a process of its own: kafka-python leaves the socket of a failed handshake open.
    done = subprocess.run([sys.executable, "-c", READ], capture_output=True, text=True, check=False)
    assert "user, password or certificates" in done.stdout, done.stderr
    return done.stdout


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_all_get_in_by_a_password_over_tls(
    guarded: Guarded, authority: Authority, mechanism: str
) -> None:
    with guarded(sasl(mechanism) | {"CA_FILE": str(authority.file)}) as settings:
        use_everything(settings)


@pytest.mark.parametrize("by_stunnel", [False, True])
def test_all_get_in_by_a_certificate(
    guarded: Guarded, authority: Authority, by_stunnel: bool
) -> None:
    certificate, key = authority.sign("client")
    given = {
        "SECURITY_PROTOCOL": "SSL",
        "CA_FILE": str(authority.file),
        "CERTIFICATE_FILE": str(certificate),
        "KEY_FILE": str(key),
    }
    with guarded(given, wants_certificate=True, asks=False, by_stunnel=by_stunnel) as settings:
        use_everything(settings)


def test_without_a_certificate_nobody_gets_in(guarded: Guarded, authority: Authority) -> None:
    given = {"SECURITY_PROTOCOL": "SSL", "CA_FILE": str(authority.file)}
    with guarded(given, by_stunnel=True):
        refusal()


def test_all_get_in_by_a_role_of_aws(
    guarded: Guarded, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", USER)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", PASSWORD)
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    given = {
        "SECURITY_PROTOCOL": "SASL_SSL",
        "SASL_MECHANISM": "AWS_MSK_IAM",
        "CA_FILE": str(authority.file),
    }
    with guarded(given) as settings:
        use_everything(settings)


def test_scram_gets_in_where_tls_is_ended_before(guarded: Guarded) -> None:
    with guarded(sasl("SCRAM-SHA-512", "SASL_PLAINTEXT"), tls=False) as settings:
        tansu._create_topics(settings)


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-512"])
def test_a_wrong_password_is_refused(
    guarded: Guarded, authority: Authority, mechanism: str
) -> None:
    given = sasl(mechanism, password="guessed") | {"CA_FILE": str(authority.file)}
    with guarded(given):
        assert "guessed" not in refusal()


def test_a_broker_of_another_authority_is_not_spoken_to(guarded: Guarded, tmp_path: Path) -> None:
    other = Authority(tmp_path, "other")
    with guarded(sasl("PLAIN") | {"CA_FILE": str(other.file)}):
        refusal()


def test_a_broker_of_another_name_is_not_spoken_to(guarded: Guarded, authority: Authority) -> None:
    with guarded(sasl("PLAIN") | {"CA_FILE": str(authority.file)}, "elsewhere"):
        refusal()
