"""The gateway as a process, on a real Triton and a real catalog."""

import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, Self
from uuid import UUID, uuid4

import httpx
import numpy as np
import pytest
from tritonclient.grpc import InferenceServerClient, InferInput, InferResult
from tritonclient.utils import InferenceServerException

from tests.integration.gateway_process import (
    GatewayProcess,
    ServedModel,
    running_gateway,
)
from tests.integration.released_models import CARD
from tests.vision.corpus import CASES, picture, saved
from tests.waiting import eventually
from visionops_assets.catalog.connection import Catalog
from visionops_assets.catalog.rollouts import ArmEvidence, end_rollout, evidence, start_rollout
from visionops_assets.contracts import Arm, MediaKind, Role
from visionops_assets.errors import MediaError, ServerUnreachableError
from visionops_assets.resources.triton import TritonServer
from visionops_assets.services.gateway.rollouts import is_picked
from visionops_assets.services.http.slow_refusals import PAUSE_S
from visionops_assets.settings import Settings
from visionops_assets.vision.preprocessing import encode_frame
from visionops_client import GatewayClient, PredictedImage, RefusedImage

PNG = saved(picture(), "PNG")
MAX_IN_FLIGHT = 4
SHARE_PERCENT = 30.0
NOTICED_WITHIN_S = 10.0
IMAGES = {
    name: case
    for name, case in CASES.items()
    if case.kind is MediaKind.IMAGE or case.code in {"empty", "unsupported_media_type"}
}


@pytest.fixture(scope="module")
def model(stack: Settings) -> Iterator[ServedModel]:
    model = ServedModel(stack, f"gateway-{uuid4().hex[:8]}")
    model.load(1)
    yield model
    model.unload()


@pytest.fixture(scope="module")
def gateway(model: ServedModel) -> Iterator[GatewayProcess]:
    with running_gateway(model.name, GATEWAY_MAX_IN_FLIGHT=str(MAX_IN_FLIGHT)) as gateway:
        yield gateway


@pytest.fixture
def client(gateway: GatewayProcess) -> Iterator[GatewayClient]:
    with gateway.client() as client:
        yield client


@pytest.mark.attack
def test_hostile_images_get_the_same_codes_by_http_and_grpc_and_harm_no_other(
    model: ServedModel, gateway: GatewayProcess, client: GatewayClient
) -> None:
    """Every hostile image, by HTTP and both ways of gRPC: each has its code, and harms no other."""
    images = [case.make() for case in IMAGES.values()]
    good: list[str] = []
    ending = threading.Event()

    def predict_good_ones() -> None:
        while not ending.is_set():
            good.append(client.predict(PNG).label)

    with ThreadPoolExecutor(1) as pool:
        background = pool.submit(predict_good_ones)
        by_http = client.predict_many(images)
        by_grpc = TritonServer().predict_each(model.name, images, task="classification")
        from_outside = [code_by_grpc(gateway, image) for image in images]
        ending.set()
        background.result()
    expected = {name: case.predicted_code for name, case in IMAGES.items()}
    codes = [o.code if isinstance(o, RefusedImage) else None for o in by_http]
    assert dict(zip(IMAGES, codes, strict=True)) == expected
    codes = [o.code if isinstance(o, MediaError) else None for o in by_grpc]
    assert dict(zip(IMAGES, codes, strict=True)) == expected
    assert dict(zip(IMAGES, from_outside, strict=True)) == expected
    assert len(good) > 0
    assert len(set(good)) == 1


def code_by_grpc(gateway: GatewayProcess, image: bytes) -> str | None:
    """Return the code of the refusal of an image by gRPC, or None."""
    try:
        gateway.infer(image)
    except InferenceServerException as error:
        return str(error.message()).partition(":")[0]
    return None


def test_by_grpc_the_gateway_answers_as_triton_does(
    stack: Settings, gateway: GatewayProcess, client: GatewayClient
) -> None:
    images = [PNG, saved(picture(), "JPEG")] * 16
    tensor = InferInput("IMAGE", [len(images), 1], "BYTES")
    tensor.set_data_from_numpy(np.array([[image] for image in images], dtype=np.object_))
    with InferenceServerClient(stack.triton_grpc_address) as triton:
        expected = triton.infer(gateway.model, [tensor], parameters={"record": False})
    answer = gateway.infer(*images)

    def described(result: InferResult) -> list[tuple[str, str, list[int]]]:
        outputs = result.get_response().outputs
        return sorted((each.name, each.datatype, list(each.shape)) for each in outputs)

    assert described(answer) == described(expected)
    assert answer.get_response().model_version == expected.get_response().model_version
    for name in ("LABEL", "MODEL_VERSION", "SNAPSHOT_ID"):
        assert answer.as_numpy(name).tolist() == expected.as_numpy(name).tolist()
    for name in ("PROBABILITIES", "EMBEDDING"):
        assert answer.as_numpy(name) == pytest.approx(expected.as_numpy(name), abs=1e-5)
    ids = [text.decode() for text in answer.as_numpy("PREDICTION_ID")[:, 0]]
    assert len(set(ids)) == len(images)
    assert client.label(UUID(ids[0]), "b").label == "b"
    assert 'ModelInfer",status="200"' in gateway.metrics()


def test_the_documented_client_from_outside_runs(
    stack: Settings, gateway: GatewayProcess, tmp_path: Path
) -> None:
    page = (stack.project_root / "docs" / "how-to" / "predict.md").read_text()
    [code] = [c for c in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "ssl=True" in c]
    for said, here in (
        ('"grpc.visionops.example:443", ssl=True', f'"{gateway.grpc_address}"'),
        ('"classifier"', f'"{gateway.model}"'),
    ):
        assert said in code
        code = code.replace(said, here)
    (tmp_path / "street.jpg").write_bytes(PNG)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        cwd=tmp_path,
        env=os.environ | {"VISIONOPS_API_KEY": gateway.key.get_secret_value()},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answered, classes = done.stdout.splitlines()
    label, _, version = answered.rpartition(" ")
    assert (label in CARD.classes, version) == (True, "1")
    assert classes == " ".join(CARD.classes)


def test_an_answer_says_what_was_predicted_by_which_version(client: GatewayClient) -> None:
    answer = client.predict(PNG, top_k=2)
    assert (answer.model_version, answer.snapshot_id, answer.role) == (
        1,
        CARD.snapshot_id,
        Role.CHAMPION,
    )
    assert answer.label == next(iter(answer.probabilities))
    assert client.label(answer.prediction_id, "b").label == "b"


def test_a_deadline_that_cannot_be_met_is_said_so(gateway: GatewayProcess) -> None:
    # It takes longer to decode than that; PNG takes so little that it may be in time.
    large = encode_frame(np.random.default_rng(0).integers(0, 256, (2_000, 2_000, 3), np.uint8))
    answer = gateway.post(large, "?timeout_ms=5")
    assert (answer.status_code, answer.json()["code"]) == (504, "deadline_exceeded")
    assert gateway.post(PNG).status_code == 200


def test_a_flood_is_answered_or_told_to_come_again(gateway: GatewayProcess) -> None:
    with ThreadPoolExecutor(8 * MAX_IN_FLIGHT) as pool:
        answers = list(pool.map(lambda _: gateway.post(PNG), range(20 * MAX_IN_FLIGHT)))
    statuses = {answer.status_code for answer in answers}
    assert statuses == {200, 429}
    for answer in answers:
        if answer.status_code == 429:
            assert (answer.json()["code"], answer.headers["retry-after"]) == ("overloaded", "1")
    # Whoever comes again at once waits for its next refusal.
    slow = [answer.elapsed.total_seconds() for answer in answers if answer.status_code == 429]
    assert max(slow) > PAUSE_S / 2
    metrics = gateway.metrics()
    assert "visionops_gateway_in_flight 0.0" in metrics
    assert 'visionops_gateway_rejected_total{reason="in_flight"}' in metrics


def test_two_models_are_asked_by_their_names_and_one_that_fails_delays_no_other(
    stack: Settings, model: ServedModel
) -> None:
    other = ServedModel(stack, f"other-{uuid4().hex[:8]}")
    other.load(2)
    missing = f"missing-{uuid4().hex[:8]}"
    with running_gateway(model.name, other.name, missing) as gateway:

        def asked(path: str) -> httpx.Response:
            return gateway.http.post(path, content=PNG, headers=gateway.headers)

        names = [
            each["name"]
            for each in gateway.http.get("/v1/models", headers=gateway.headers).json()["models"]
        ]
        assert (names[0], set(names)) == (model.name, {model.name, other.name, missing})
        for _ in range(20):
            assert asked(f"/v1/models/{missing}/predict").status_code == 503
        versions = [
            asked(path).json()["model_version"]
            for path in ("/v1/predict", f"/v1/models/{model.name}/predict")
        ]
        assert versions == [1, 1]
        assert asked(f"/v1/models/{other.name}/predict").json()["model_version"] == 2
    other.unload()


def test_frames_of_a_video_are_answered_in_order(client: GatewayClient) -> None:
    answers = list(client.stream([PNG, b"junk", *[PNG] * 60], top_k=1))
    assert [answer.sequence for answer in answers] == list(range(62))
    refused = [answer.sequence for answer in answers if answer.refusal is not None]
    assert refused == [1]


def test_a_triton_that_is_not_there_is_left_alone_after_some_failures(stack: Settings) -> None:
    with running_gateway(
        "nothing",
        TRITON_GRPC_ADDRESS="127.0.0.1:1",
        GATEWAY_BREAKER_FAILURES="3",
        GATEWAY_BREAKER_OPEN_S="60",
    ) as gateway:
        answers = [gateway.post(PNG) for _ in range(5)]
        ready = gateway.http.get("/readyz")
        metrics = gateway.metrics()
    assert {answer.status_code for answer in answers} == {503}
    assert {"retry-after" in answer.headers for answer in answers} == {True}
    assert ["left alone" in answer.json()["detail"] for answer in answers] == [
        False,
        False,
        False,
        True,
        True,
    ]
    assert ready.json()["detail"] == "Not ready: no answer from Triton."
    assert "visionops_gateway_breaker_state 2.0" in metrics


class Trying:
    """A rollout of version 2 in the catalog, for the length of a block."""

    def __init__(
        self, model: ServedModel, role: Literal[Role.CANARY, Role.SHADOW], share_percent: float
    ) -> None:
        model.load(2, role)
        with Catalog().begin() as session:
            self.rollout = start_rollout(
                session,
                model_name=model.name,
                model_version=2,
                champion_version=1,
                role=role,
                share_percent=share_percent,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with Catalog().begin() as session:
            end_rollout(session, self.rollout.rollout_id)

    def seen(self, arm: Arm) -> ArmEvidence:
        """What gateways have reported."""
        with Catalog().begin() as session:
            return evidence(session, self.rollout.rollout_id)[arm]


def version_by_grpc(gateway: GatewayProcess, sticky_key: str) -> int:
    return int(gateway.infer(PNG, sticky_key=sticky_key).as_numpy("MODEL_VERSION")[0, 0])


def test_a_canary_answers_its_share_of_the_keys_and_fails_unseen(
    model: ServedModel, gateway: GatewayProcess, client: GatewayClient
) -> None:
    def ask(key: str) -> PredictedImage:
        return client.predict(PNG, sticky_key=key)

    with Trying(model, Role.CANARY, SHARE_PERCENT) as trying:
        keys = [f"user-{i}" for i in range(40)]
        picked = [key for key in keys if is_picked(trying.rollout, key)]
        eventually("the canary", lambda: ask(picked[0]).role == Role.CANARY, NOTICED_WITHIN_S)
        for _ in range(2):
            answers = {key: ask(key) for key in keys}
            assert [key for key, a in answers.items() if a.role == Role.CANARY] == picked
            assert {answers[key].model_version for key in picked} == {2}
        by_grpc = {key: version_by_grpc(gateway, key) for key in keys}
        assert by_grpc == {key: 2 if key in picked else 1 for key in keys}
        eventually(
            "requests to the candidate",
            lambda: trying.seen(Arm.CANDIDATE).requests > 3 * len(picked),
            NOTICED_WITHIN_S,
        )
        eventually(
            "requests to the champion",
            lambda: trying.seen(Arm.CHAMPION).requests == 3 * (len(keys) - len(picked)),
            NOTICED_WITHIN_S,
        )
        eventually("comparisons", lambda: trying.seen(Arm.CANDIDATE).compared > 0, NOTICED_WITHIN_S)
        assert [trying.seen(arm).errors for arm in Arm] == [0, 0]
        assert trying.seen(Arm.CANDIDATE).latency_quantile_ms(0.5) is not None

        model.unload_candidate()
        assert {ask(key).role for key in picked} == {Role.CHAMPION}
        eventually(
            "errors of the candidate",
            lambda: trying.seen(Arm.CANDIDATE).errors == len(picked),
            NOTICED_WITHIN_S,
        )
        assert trying.seen(Arm.CHAMPION).errors == 0


def test_a_shadow_is_compared_and_never_seen(
    model: ServedModel, gateway: GatewayProcess, client: GatewayClient
) -> None:
    with Trying(model, Role.SHADOW, 100) as trying:
        # The gateway may know the canary of another test for a moment more.
        eventually(
            "the champion", lambda: client.predict(PNG).role == Role.CHAMPION, NOTICED_WITHIN_S
        )
        roles = []

        def is_compared() -> bool:
            roles.append(client.predict(PNG).role)
            return trying.seen(Arm.CANDIDATE).compared >= 5

        eventually("comparisons", is_compared, NOTICED_WITHIN_S)
        assert set(roles) == {Role.CHAMPION}
        compared = trying.seen(Arm.CANDIDATE).compared

        def is_compared_by_grpc() -> bool:
            assert version_by_grpc(gateway, "x") == 1
            return trying.seen(Arm.CANDIDATE).compared >= compared + 5

        eventually("comparisons of gRPC", is_compared_by_grpc, NOTICED_WITHIN_S)
        assert [trying.seen(arm).errors for arm in Arm] == [0, 0]
        assert trying.seen(Arm.CHAMPION).requests > 0
    model.unload_candidate()


def test_what_is_under_way_is_answered_when_it_is_told_to_end(model: ServedModel) -> None:
    with running_gateway(model.name) as gateway, gateway.client() as client:
        ended = threading.Event()

        def frames() -> Iterator[bytes]:
            yield PNG
            ended.wait(30)
            yield PNG

        stream = client.stream(frames())
        assert next(stream).prediction is not None
        with half_sent(gateway) as finish:
            gateway.terminate()
            eventually(
                "the end of the door", lambda: refuses_connections(gateway), NOTICED_WITHIN_S
            )
            assert finish() == 200
        ended.set()
        with pytest.raises(ServerUnreachableError, match="The gateway stops"):
            next(stream)
        assert gateway.process.wait(15) is not None


@contextmanager
def half_sent(gateway: GatewayProcess) -> Iterator[Callable[[], int]]:
    """Send the first half of a request's body; what is given sends the rest, for the status."""
    head = [
        "POST /v1/predict HTTP/1.1",
        f"Host: {gateway.address[0]}",
        *(f"{name}: {value}" for name, value in gateway.headers.items()),
        f"Content-Length: {len(PNG)}",
    ]
    with socket.create_connection(gateway.address, timeout=30) as connection:
        connection.sendall("\r\n".join([*head, "", ""]).encode() + PNG[:20])
        time.sleep(0.5)

        def finish() -> int:
            connection.sendall(PNG[20:])
            with connection.makefile("rb") as answer:
                status = int(answer.readline().split()[1])
                body = answer.read().partition(b"\r\n\r\n")[2]
            assert json.loads(body)["label"]
            return status

        yield finish


def refuses_connections(gateway: GatewayProcess) -> bool:
    try:
        socket.create_connection(gateway.address).close()
    except ConnectionRefusedError:
        return True
    return False
