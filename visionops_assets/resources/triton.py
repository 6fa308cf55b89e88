"""Triton, over gRPC: load and unload models, ask what is served, predict."""

import atexit
import socket
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

from tritonclient.grpc import InferenceServerClient
from tritonclient.utils import InferenceServerException

from visionops_assets.errors import (
    MediaError,
    NoModelServedError,
    ReleaseError,
    ServerUnreachableError,
    VisionOpsError,
)
from visionops_assets.resources.triton_answers import ServedAnswer, image_input, read_answer
from visionops_assets.resources.triton_errors import to_visionops_error
from visionops_assets.settings import load_settings

ADMIN_KEY_HEADER = "triton-grpc-protocol-admin-key"
LOAD_TIMEOUT_S = 120.0
STATUS_TIMEOUT_S = 5.0
CONCURRENT_REQUESTS = 8
"""Requests in flight of one `predict`: enough to let Triton form batches."""

CANDIDATE_SUFFIX = "-candidate"
"""Triton serves a canary or shadow under the model's name with this."""

CHANNEL_OPTIONS: list[tuple[str, int]] = [
    # gRPC refuses answers above 4 MB unless told otherwise; Triton itself accepts up to 2 GB.
    ("grpc.max_send_message_length", 2**31 - 1),
    ("grpc.max_receive_message_length", 2**31 - 1),
    # By default a channel waits up to two minutes before it tries a restarted server again.
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # A host that vanishes ends no connection. This gives a connection up if nothing is acknowledged
    # for that long (TCP_USER_TIMEOUT, which gRPC sets together with keep-alives), and not after 15
    # minutes.
    ("grpc.keepalive_timeout_ms", 3_000),
    # If pings come more often, Triton ends the connection.
    ("grpc.keepalive_time_ms", 300_000),
]


@dataclass(frozen=True)
class TritonServer:
    """One Triton server, at `address` or, by default, at that of the settings.

    The admin key comes from the settings. Every method raises `ServerUnreachableError` when the
    server does not answer.
    """

    address: str = ""

    def replicas(self) -> list["TritonServer"]:
        """Return every server that a release must reach, each at an address of its own.

        Raises:
            ServerUnreachableError: a name of the settings does not resolve.
        """
        settings = load_settings()
        configured = settings.triton_replica_addresses or settings.triton_grpc_address
        addresses = {
            address: None
            for given in configured.split(",")
            if given.strip()
            for address in _resolved(given.strip())
        }
        return [TritonServer(address=address) for address in addresses]

    @property
    def _target(self) -> str:
        return self.address or load_settings().triton_grpc_address

    @property
    def _client(self) -> InferenceServerClient:
        return _connect(self._target)

    def load(
        self, model: str, config: str | None = None, files: Mapping[str, bytes] | None = None
    ) -> None:
        """Load a model, or bring a loaded one to another configuration, and wait for it.

        Without `config` (a JSON model configuration) Triton reads the repository's own. It takes
        that for unchanged if it was written within the same second as the last one it read. `files`
        maps paths below the model's folder to contents, in place of the repository's.

        Raises:
            ReleaseError: Triton refuses the model; versions that were served still are.
        """
        sent = {f"file:{path}": content for path, content in (files or {}).items()}
        with self._errors(model, refused=ReleaseError):
            self._client.load_model(
                model,
                headers=_admin_headers(),
                config=config,
                files=sent or None,
                client_timeout=LOAD_TIMEOUT_S,
            )

    def unload(self, model: str) -> None:
        """Stop serving a model; requests under way are answered first."""
        with self._errors(model):
            self._client.unload_model(
                model, headers=_admin_headers(), client_timeout=LOAD_TIMEOUT_S
            )

    def served_version(self, model: str) -> int | None:
        """Return the highest version that is loaded: it answers requests that name none."""
        try:
            with self._errors(model):
                metadata = self._client.get_model_metadata(model, client_timeout=STATUS_TIMEOUT_S)
        except NoModelServedError:
            return None
        return max((int(version) for version in metadata.versions), default=None)

    def composing_models(self, model: str) -> list[str]:
        """Return the models that a loaded ensemble calls; a single model calls no other."""
        with self._errors(model):
            found = self._client.get_model_config(model, client_timeout=STATUS_TIMEOUT_S)
        return [step.model_name for step in found.config.ensemble_scheduling.step]

    def given_name(self) -> str:
        """Return the server's name: that of its option `--id`, or `triton`."""
        with self._errors("its metadata"):
            return str(self._client.get_server_metadata(client_timeout=STATUS_TIMEOUT_S).name)

    def known_models(self) -> list[str]:
        """Return the names of all models in its repository, loaded or not."""
        with self._errors("its repository"):
            index = self._client.get_model_repository_index(
                headers=_admin_headers(), client_timeout=STATUS_TIMEOUT_S
            )
        return sorted({model.name for model in index.models})

    def loaded_models(self) -> list[str]:
        """Return the names of all models that answer predictions."""
        # The repository's index lacks models that were loaded from files in the request.
        with self._errors("its statistics"):
            statistics = self._client.get_inference_statistics(
                headers=_admin_headers(), client_timeout=STATUS_TIMEOUT_S
            )
        return sorted({model.name for model in statistics.model_stats})

    def predict(
        self,
        model: str,
        images: Sequence[bytes],
        timeout_s: float = 10.0,
        *,
        record: bool = True,
        task: str,
    ) -> list[ServedAnswer]:
        """Predict encoded images; answers are in the order of the images.

        `timeout_s` holds for each image. With `record` off the predictions are not published:
        for rehearsals and smoke tests. `task` is the model's.

        Raises:
            MediaError: the first image that cannot be used, by its reason.
            NoModelServedError: no version of the model is loaded.
            DeadlineExceededError: an answer took longer than `timeout_s`.
        """
        outcomes = self.predict_each(model, images, timeout_s, record=record, task=task)
        answers = []
        for outcome in outcomes:
            if isinstance(outcome, MediaError):
                raise outcome
            answers.append(outcome)
        return answers

    def predict_each(
        self,
        model: str,
        images: Sequence[bytes],
        timeout_s: float = 10.0,
        *,
        record: bool = True,
        task: str,
    ) -> list[ServedAnswer | MediaError]:
        """Predict like `predict`, with the error of an unusable image in place of its answer."""

        def outcome(image: bytes) -> ServedAnswer | MediaError:
            try:
                return self.predict_one(model, image, timeout_s, record=record, task=task)
            except MediaError as error:
                return error

        with ThreadPoolExecutor(CONCURRENT_REQUESTS, "predict") as pool:
            return list(pool.map(outcome, images))

    def predict_one(
        self,
        model: str,
        image: bytes,
        timeout_s: float = 10.0,
        *,
        record: bool = True,
        task: str,
    ) -> ServedAnswer:
        """Predict one encoded image. Arguments and errors are those of `predict`."""
        with self._errors(model):
            result = self._client.infer(
                model,
                [image_input(image)],
                client_timeout=timeout_s,
                parameters={"record": record},
            )
        return read_answer(result.as_numpy, task)

    @contextmanager
    def _errors(self, model: str, refused: type[VisionOpsError] = VisionOpsError) -> Iterator[None]:
        try:
            yield
        except InferenceServerException as error:
            raise to_visionops_error(error, model, refused, address=self._target) from error


@cache
def _connect(address: str) -> InferenceServerClient:
    return InferenceServerClient(address, channel_args=CHANNEL_OPTIONS)


# Clients must be closed while gRPC's modules still exist, or each prints a traceback at exit.
atexit.register(_connect.cache_clear)


def _resolved(address: str) -> list[str]:
    """Return `host:port` for each address of a host, whose name may stand for many."""
    host, _, port = address.rpartition(":")
    try:
        found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise ServerUnreachableError(
            f"The Triton address {address!r} does not resolve: {error}. It must be host:port; see "
            "VISIONOPS_TRITON_REPLICA_ADDRESSES."
        ) from error
    hosts = sorted({str(entry[4][0]) for entry in found})
    return [f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host in hosts]


def _admin_headers() -> dict[str, str]:
    key = load_settings().triton_admin_key
    return {ADMIN_KEY_HEADER: key.get_secret_value()} if key else {}
