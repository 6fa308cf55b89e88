"""The record of a service: where it listens, whom it needs, and what its pods are given."""

from dataclasses import dataclass
from enum import StrEnum


class Guard(StrEnum):
    """How a port keeps out other users of the machine, and web pages in their browsers."""

    CREDENTIAL = "credential"
    """Without a key or a certificate it does nothing; at most it says that it is well."""
    OWN_PAGES = "Origin and Host"
    """It refuses requests of foreign web pages. Other users of the machine may use it."""
    EXEMPT = "exempt"
    """It has neither; the reason says why that is accepted."""


class Need(StrEnum):
    """A server that is not ours, by the word of settings and of labels `visionops/reaches-...`."""

    STORE = "s3"
    CATALOG = "postgres"
    QUEUE = "kafka"
    TRITON = "triton"
    CAMERAS = "cameras"
    DAGSTER = "dagster-webserver"


SECRETS_OF = {
    Need.CATALOG: ("postgres_url",),
    Need.STORE: ("s3_access_key_id", "s3_secret_access_key"),
    Need.QUEUE: ("kafka_password",),
}
"""The settings without which nobody is let in there. Triton answers without a key."""


@dataclass(frozen=True, kw_only=True)
class Address:
    """One port of a service, and the setting by which others find it.

    The setting is `NAME_url` where HTTP is spoken, `NAME_grpc_address` where gRPC is. Who may
    connect on a cluster follows: Prometheus and runs to HTTP, the edge where it `is_public`.
    """

    number: int
    setting: str
    says: str
    """The setting's description."""
    guard: Guard
    reason: str
    is_public: bool = False

    @property
    def name(self) -> str:
        """Return its name in the list of the stack's ports: the setting's, without its kind."""
        return self.setting.removesuffix("_url").removesuffix("_address")

    @property
    def protocol(self) -> str:
        """Return `http` or `grpc`, its name in manifests."""
        return "http" if self.setting.endswith("_url") else "grpc"

    def at(self, host: str, number: int | None = None) -> str:
        """Write the setting's value for a host, by default with its own number."""
        scheme = "http://" if self.protocol == "http" else ""
        return f"{scheme}{host}:{number or self.number}"


@dataclass(frozen=True, kw_only=True)
class Heartbeat:
    """The sign of life of a service without a port: a file that it touches at each turn."""

    beside: str
    """The setting of a server: who runs that elsewhere runs this one there."""
    turn_setting: str = ""
    """The setting of the time between two turns, where there is one."""
    silence_min: int = 5
    """Minutes without a touch after which a cluster starts it again."""
    asked_every_s: int = 60
    patience_s: float = 60.0
    """Time for which `visionops up` lets it be silent longer than usual."""


@dataclass(frozen=True, kw_only=True)
class Key:
    """A secret setting besides those of `SECRETS_OF`, and the Secret of a cluster that has it."""

    setting: str
    secret: str = "visionops"  # noqa: S105 - its name
    is_optional: bool = False
    is_made: bool = False
    """Whether `visionops up` makes one for a service that it starts."""


@dataclass(frozen=True, kw_only=True)
class Pods:
    """Its Deployment. Sizes are Kubernetes' quantities; no limit of CPU, which shows as latency."""

    account: str = "no-access"
    replicas: int = 2
    """With `most`, the least number. Two and more are spread, and have a disruption budget."""
    most: int | None = None
    """The autoscaler's limit; without one their number is fixed."""
    is_alone: bool = False
    """Whether one must have ended before the next one begins."""
    cpu: str
    memory: str
    memory_limit: str
    tmp: str = "64Mi"
    grace_s: int = 60

    @property
    def are_several(self) -> bool:
        """Say whether one may be away while the others work."""
        return self.replicas > 1


@dataclass(frozen=True, kw_only=True)
class Service:
    """One program of ours, `python -m visionops_assets.services.NAME`, wherever it runs.

    It has `addresses` and answers `/healthz` and `/metrics` at the first, or a `heartbeat`.
    `needs` must be ready before it starts, and `calls` are others that it speaks to; both name
    a `Need` or a service.
    """

    name: str
    says: str
    addresses: tuple[Address, ...] = ()
    heartbeat: Heartbeat | None = None
    needs: tuple[str, ...]
    calls: tuple[str, ...] = ()
    keys: tuple[Key, ...] = ()
    signs: bool = False
    """Whether it verifies or signs models: on a cluster it is given the signing key."""
    ready_path: str = "/readyz"
    measured_route: str = ""
    """The pattern of its main routes, whose latency and errors are measured; empty: of none."""
    has_own_job_label: bool = False
    """Whether its series have a label `job` that Prometheus must leave as it is."""
    stop_timeout_s: float = 10.0
    pods: Pods | None
    """None: it runs in the pods of another server."""

    def __post_init__(self) -> None:
        if bool(self.addresses) == bool(self.heartbeat):
            raise ValueError(f"{self.name}: it needs addresses or a heartbeat, and not both")

    @property
    def module(self) -> str:
        """Return the module that `python -m` runs."""
        return f"visionops_assets.services.{self.name.replace('-', '_')}"

    @property
    def secrets(self) -> tuple[str, ...]:
        """Name the secret settings that its process is given."""
        of_needs = (setting for need in self.needs for setting in _secrets_of(need))
        return (*of_needs, *(key.setting for key in self.keys))


def _secrets_of(need: str) -> tuple[str, ...]:
    return SECRETS_OF.get(Need(need), ()) if need in set(Need) else ()
